/** How a song is cut into passages that are played one after another. Pure; all places are samples of the song. */

import type { Region } from "./region";

export const WINDOW = 5; // s of a song that are decoded at once
export const MARGIN = 0.05; // s that a window has beyond both its ends
const SHORTEST = MARGIN / 2; // s; a passage has to have room for a fade at either end

/** Of one window, without a seam; it is followed by the passage that begins at `next`, if there is one. */
export interface Passage {
  readonly window: number;
  readonly from: number;
  readonly to: number;
  readonly next: number | null;
}

/** A song as it is cut. */
export interface Song {
  readonly length: number; // samples
  readonly rate: number; // Hz
  readonly loop: Region | null; // samples, whole ones: between two samples the browser would interpolate, and dull the treble
}

/** The loop of seconds in whole samples. */
export function inSamples(loop: Region | null, rate: number): Region | null {
  return loop && { start: Math.round(loop.start * rate), end: Math.round(loop.end * rate) };
}

/** Where playing begins when it is asked to begin at `place`: after a loop's end is its start, and after the song's the song's. */
export function entry(place: number, { length, rate, loop }: Song): number {
  const near = SHORTEST * rate;
  if (loop && place > loop.end - near) return loop.start;
  return place > length - near ? 0 : Math.max(place, 0);
}

/** The passage that begins at `from`: to the end of its window, of the loop or of the song. */
export function passage(from: number, { length, rate, loop }: Song): Passage {
  const near = SHORTEST * rate;
  const size = WINDOW * rate;
  const window = Math.floor((from + near) / size);
  const last = loop && from < loop.end ? loop.end : length;
  const seam = (window + 1) * size;
  if (last > seam + near) return { window, from, to: seam, next: seam };
  return { window, from, to: last, next: last === loop?.end ? loop.start : null };
}

/** The passages of an export, from one place to another. */
export function passages(from: number, to: number, rate: number): Passage[] {
  const found: Passage[] = [];
  for (let place: number | null = from; place !== null; ) {
    const each: Passage = passage(place, { length: to, rate, loop: null });
    found.push(each);
    place = each.next;
  }
  return found;
}
