/** Where we are in a song, with and without a loop. Pure; all times are seconds of the song. */

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

/** Where playing begins when it is asked to begin at `position`: after a loop's end is its start. */
export function entry(position: number, loop: Region | null, duration: number): number {
  if (loop && position >= loop.end) return loop.start;
  return position >= duration ? 0 : clamp(position, 0, duration);
}

/** Where playing is, `played` seconds of song after it began at `from`. */
export function position(from: number, played: number, loop: Region | null, duration: number): number {
  const straight = from + played;
  if (loop && straight >= loop.end) {
    return loop.start + ((straight - loop.start) % (loop.end - loop.start));
  }
  return clamp(straight, 0, duration);
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
