/** Seeking and looping with a pointer on the waveforms: a press seeks, a drag makes a loop. */

import { clamp, region, type Region } from "../audio/region";

const DRAG = 6; // CSS pixels: less is a press with an unsteady hand

export interface LaneEvents {
  seek(to: number): void;
  drag(region: Region): void; // while it is drawn, and once more at the end
  dragged(region: Region): void;
  undragged(): void; // it was no drag after all
}

export function followPointer(lane: HTMLElement, duration: number, events: LaneEvents): void {
  const at = (event: PointerEvent) => {
    const box = lane.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1) * duration;
  };
  let began: { x: number; time: number } | null = null;
  let drawn: Region | null = null;

  lane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    began = { x: event.clientX, time: at(event) };
    drawn = null;
    lane.setPointerCapture(event.pointerId);
  });
  lane.addEventListener("pointermove", (event) => {
    if (!began || (drawn === null && Math.abs(event.clientX - began.x) < DRAG)) return;
    drawn = region(began.time, at(event), duration) ?? drawn;
    if (drawn) events.drag(drawn);
  });
  lane.addEventListener("pointerup", (event) => {
    if (!began) return;
    if (drawn) events.dragged(drawn);
    else events.seek(at(event));
    began = null;
  });
  lane.addEventListener("pointercancel", () => {
    if (began && drawn) events.undragged(); // a phone took the gesture for scrolling
    began = null;
  });
}
