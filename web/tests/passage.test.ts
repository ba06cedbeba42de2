import { describe, expect, it } from "vitest";
import { entry, inSamples, MARGIN, passage, passages, WINDOW, type Passage } from "../src/audio/passage";

const rate = 44_100;
const window = WINDOW * rate;
const near = (MARGIN / 2) * rate;
const song = (seconds: number, loop: [start: number, end: number] | null = null) => ({
  length: seconds * rate,
  rate,
  loop: loop && { start: loop[0] * rate, end: loop[1] * rate },
});

/** The passages that follow each other from a place on. */
function following(from: number, cut: ReturnType<typeof song>, most: number): Passage[] {
  const found: Passage[] = [];
  for (let place: number | null = from; place !== null && found.length < most; ) {
    const each: Passage = passage(place, cut);
    found.push(each);
    place = each.next;
  }
  return found;
}

describe("a song", () => {
  it("is played window by window to its end, each where the last one ended", () => {
    const found = following(0, song(12), 9);
    expect(found.map(({ window }) => window)).toEqual([0, 1, 2]);
    expect(found.map(({ to }) => to)).toEqual([window, 2 * window, 12 * rate]);
    expect(found.map(({ next }) => next)).toEqual([window, 2 * window, null]);
  });
  it("is looped from the loop's end to its start, by whole samples", () => {
    const loop = inSamples({ start: 2.02731, end: 3.70537 }, rate);
    expect(loop).toEqual({ start: 89_404, end: 163_407 });
    const found = following(3 * rate, { ...song(12), loop }, 3);
    expect(found.map(({ from, to }) => [from, to])).toEqual([[3 * rate, 163_407], [89_404, 163_407], [89_404, 163_407]]);
  });
  it("begins at the loop's start when it would begin behind it, and anew when it would begin at its end", () => {
    const looped = song(10, [2, 4]);
    expect([5, 4, 3.99, 3, 1].map((at) => entry(at * rate, looped) / rate)).toEqual([2, 2, 2, 3, 1]);
    expect([10, 9.99, 9, -1].map((at) => entry(at * rate, song(10)) / rate)).toEqual([0, 0, 9, 0]);
  });
});

describe("a passage", () => {
  it("has room for a fade at either end, and lies in its window, wherever a loop, a seek or the song's end may fall", () => {
    for (const offset of [-2 * near, -near, -near + 1, -1, 0, 1, near - 1, near, 2 * near]) {
      for (const cut of [song(12), { ...song(12), loop: { start: rate, end: window + offset } }, { ...song(12), length: window + offset }]) {
        for (const from of [0, window + offset, window - 3 * near, 2 * window + offset].map((place) => entry(place, cut))) {
          for (const each of following(from, cut, 5)) {
            expect(each.to - each.from).toBeGreaterThanOrEqual(near);
            expect(each.from).toBeGreaterThanOrEqual(each.window * window - near);
            expect(each.to).toBeLessThanOrEqual((each.window + 1) * window + near);
          }
        }
      }
    }
  });
});

it("an export is cut into windows too, and all of it is there", () => {
  const found = passages(rate, 11 * rate, rate);
  expect(found[0]?.from).toBe(rate);
  expect(found.at(-1)?.to).toBe(11 * rate);
  expect(found.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(10 * rate);
});
