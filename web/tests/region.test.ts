import { describe, expect, it } from "vitest";
import { entry, position, region } from "../src/audio/region";

describe("a region", () => {
  it("has its ends in order, inside the song", () => {
    expect(region(8, 2, 10)).toEqual({ start: 2, end: 8 });
    expect(region(-5, 50, 10)).toEqual({ start: 0, end: 10 });
  });
  it("is none when it is too short to be heard as one", () => {
    expect(region(3, 3.05, 10)).toBeNull();
    expect(region(12, 15, 10)).toBeNull();
  });
});

describe("playing", () => {
  const loop = { start: 2, end: 4 };
  it("goes straight on without a loop, and stays at the end", () => {
    expect([position(1, 2.5, null, 10), position(9, 5, null, 10)]).toEqual([3.5, 10]);
  });
  it("runs into a loop that lies ahead, and goes round in it", () => {
    expect([position(1, 2, loop, 10), position(1, 3, loop, 10), position(1, 4.5, loop, 10), position(1, 7, loop, 10)]).toEqual([3, 2, 3.5, 2]);
  });
  it("begins at the loop's start when it would begin behind it", () => {
    expect([entry(5, loop, 10), entry(4, loop, 10), entry(3, loop, 10), entry(1, loop, 10)]).toEqual([2, 2, 3, 1]);
  });
  it("begins anew when it would begin at the end", () => {
    expect([entry(10, null, 10), entry(-1, null, 10)]).toEqual([0, 0]);
  });
});
