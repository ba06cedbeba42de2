/** A part of a song that is looped. Pure; all times are seconds of the song. */

export interface Region {
  readonly start: number;
  readonly end: number;
}

export const SHORTEST = 0.1; // s; below it a loop is a buzz

/** The region between two moments in whichever order, inside the song; null when it would be too short. */
export function region(one: number, other: number, duration: number): Region | null {
  const start = clamp(Math.min(one, other), 0, duration);
  const end = clamp(Math.max(one, other), 0, duration);
  return end - start < SHORTEST ? null : { start, end };
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
