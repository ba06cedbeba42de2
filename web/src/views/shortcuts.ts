/** Single keys for those who mix with one hand on an instrument. They can be switched off: dictation types letters too. */

import { h } from "../dom";
import { STEP } from "./transport";

export interface Keys {
  toggle(): void;
  move(seconds: number): void;
  start(): void;
  loop(): void;
  fromHere(): void;
  toHere(): void;
  mute(stem: string | number): void; // by name, or by its place from 0
  solo(stem: string | number): void;
}

const HELP: readonly [keys: string, what: string][] = [
  ["Space", "play or pause"],
  ["← →", `${STEP} seconds back or on`],
  ["↑ ↓", "a tenth of a second on or back, on the position"],
  ["Home", "to the start"],
  ["1 to 9", "mute a stem by its place; with Shift, solo it"],
  ["M, S", "mute or solo the stem that has the focus"],
  ["L", "loop on or off"],
  ["[ ]", "loop from here, loop to here"],
];

export function shortcuts(keys: Keys): { element: HTMLElement; close(): void } {
  const on = h("input", { type: "checkbox", id: "shortcuts", checked: true });

  let pointed = false; // the focus is where a pointer put it

  function point(): void {
    pointed = true;
  }

  function press(event: KeyboardEvent): void {
    if (event.key === "Tab") pointed = false;
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || taken(event, pointed)) return;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    const stem = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-stem]")?.dataset["stem"] : undefined;
    const act = action(event, digit === undefined ? stem : Number(digit) - 1, digit !== undefined);
    if (!act) return;
    event.preventDefault();
    if (!event.repeat || event.key.startsWith("Arrow")) act(); // a key that is held must not switch on and off
  }

  function action(event: KeyboardEvent, stem: string | number | undefined, byPlace: boolean): (() => void) | undefined {
    if (byPlace && stem !== undefined) return () => (event.shiftKey ? keys.solo(stem) : keys.mute(stem));
    // With Caps Lock a letter comes as a capital.
    switch (event.key.length === 1 ? event.key.toLowerCase() : event.key) {
      case " ": return keys.toggle;
      case "ArrowLeft": return () => keys.move(-STEP);
      case "ArrowRight": return () => keys.move(STEP);
      case "Home": return keys.start;
      case "l": return keys.loop;
      case "[": return keys.fromHere;
      case "]": return keys.toHere;
      case "m": return stem === undefined ? undefined : () => keys.mute(stem);
      case "s": return stem === undefined ? undefined : () => keys.solo(stem);
      default: return undefined;
    }
  }

  /** Some browsers press a button when Space goes up, whatever became of its going down. */
  function release(event: KeyboardEvent): void {
    if (event.key === " " && on.checked && event.target instanceof HTMLButtonElement && !taken(event, pointed)) event.preventDefault();
  }

  document.addEventListener("pointerdown", point);
  document.addEventListener("keydown", press);
  document.addEventListener("keyup", release);
  const element = h(
    "details",
    { class: "card shortcuts" },
    h("summary", {}, "Keyboard"),
    h("dl", {}, ...HELP.flatMap(([key, what]) => [h("dt", {}, key), h("dd", {}, what)])),
    h("p", { class: "labelled" }, on, h("label", { for: "shortcuts" }, "Use these keys")),
  );
  return {
    element,
    close: () => {
      document.removeEventListener("pointerdown", point);
      document.removeEventListener("keydown", press);
      document.removeEventListener("keyup", release);
    },
  };
}

/**
 * Whether the focused control has a use of its own for the key. Whoever pressed Mute with a mouse and then Space wants
 * to hear it; whoever came by Tab wants to press it.
 */
function taken(event: KeyboardEvent, pointed: boolean): boolean {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return false;
  if (target.matches("input[type=text], input[type=url], input[type=number], input[type=password], select, textarea")) return true;
  if (event.key === " ") return !pointed && target.matches("button, a, summary, input:not([type=range])");
  if (event.key.startsWith("Arrow") || event.key === "Home") return target.matches("input[type=range]");
  return false;
}
