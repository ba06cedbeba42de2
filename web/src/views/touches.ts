/** Sliders under a thumb that scrolls: a swipe over one changes nothing. */

const DRAG = 6; // CSS pixels to the side: less may still become a swipe

interface Touch {
  readonly before: number;
  readonly x: number;
  moved: boolean; // it is the slider's, not the page's
}

/**
 * Call `take` with every new value of a slider. A browser moves it as soon as it is touched, and takes the touch away
 * (`pointercancel`) when that becomes a scroll; so nothing is taken before the finger went to the side or was lifted.
 */
export function heedTouches(input: HTMLInputElement, take: (value: number) => void): void {
  let touch: Touch | null = null;
  input.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") touch = { before: Number(input.value), x: event.clientX, moved: false };
  });
  input.addEventListener("input", () => {
    if (!touch || touch.moved) take(Number(input.value));
  });
  input.addEventListener("pointermove", (event) => {
    if (!touch || touch.moved || Math.abs(event.clientX - touch.x) < DRAG) return;
    touch.moved = true;
    take(Number(input.value));
  });
  input.addEventListener("pointerup", () => {
    const pressed = touch !== null && !touch.moved;
    touch = null;
    if (pressed) take(Number(input.value));
  });
  input.addEventListener("pointercancel", () => {
    if (!touch) return;
    input.value = String(touch.before);
    if (touch.moved) take(touch.before);
    touch = null;
  });
}
