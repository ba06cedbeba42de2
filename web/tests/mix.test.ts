import { describe, expect, it } from "vitest";
import { audible, gains, linear, PLAIN, SILENT, transpose, untouched } from "../src/audio/mix";

const strips = (changes: Record<string, object>) =>
  Object.fromEntries(["vocals", "drums", "bass"].map((name) => [name, { ...PLAIN, ...changes[name] }]));

describe("what is heard", () => {
  it("is everything, untouched, at first", () => {
    expect(gains(strips({}))).toEqual({ vocals: 1, drums: 1, bass: 1 });
  });
  it("is not what is muted", () => {
    expect(gains(strips({ drums: { muted: true } }))).toEqual({ vocals: 1, drums: 0, bass: 1 });
  });
  it("is only what is soloed, when anything is", () => {
    expect(audible(strips({ bass: { soloed: true } }))).toEqual(["bass"]);
    expect(audible(strips({ bass: { soloed: true }, drums: { soloed: true } }))).toEqual(["drums", "bass"]);
  });
  it("is nothing when the one soloed is muted too", () => {
    expect(audible(strips({ bass: { soloed: true, muted: true } }))).toEqual([]);
  });
  it("follows the fader", () => {
    expect(gains(strips({ bass: { volume: -6 } }))["bass"]).toBeCloseTo(0.501, 3);
    expect(linear(6)).toBeCloseTo(1.995, 3);
    expect(linear(SILENT)).toBe(0);
  });
});

describe("the pitch shifter", () => {
  it("has nothing to do as recorded", () => {
    expect(untouched({ volume: -3, tempo: 1, key: 0 })).toBe(true);
    expect(untouched({ volume: 0, tempo: 1, key: 1 })).toBe(false);
  });
  it("undoes what the speed did to the pitch, and adds the key", () => {
    expect(transpose({ volume: 0, tempo: 0.5, key: 0 })).toBe(12);
    expect(transpose({ volume: 0, tempo: 2, key: 3 })).toBe(-9);
  });
});
