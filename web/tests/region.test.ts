import { describe, expect, it } from "vitest";
import { region } from "../src/audio/region";

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
