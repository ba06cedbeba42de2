import { describe, expect, it } from "vitest";
import { bytes, clock, counted, decibels, panned, parseClock, signed, spoken, timeLeft, title } from "../src/format";

describe("a time", () => {
  it.each([[0, "0:00"], [63.9, "1:03"], [3599, "59:59"], [3661, "1:01:01"], [-1, "0:00"]])("%d s is %s", (seconds, text) => {
    expect(clock(seconds)).toBe(text);
  });
  it("is rounded to tenths or thousandths, also over a minute's edge", () => {
    expect([clock(63.44, 1), clock(59.96, 1), clock(3600, 1)]).toEqual(["1:03.4", "1:00.0", "1:00:00.0"]);
    expect([clock(63.0484, 3), clock(59.9996, 3), clock(5.5, 3)]).toEqual(["1:03.048", "1:00.000", "0:05.500"]);
  });
  it.each([["63.4", 63.4], ["1:03.4", 63.4], ["1:01:03", 3663], [" 0:05,5 ", 5.5]])("%s is read", (text, seconds) => {
    expect(parseClock(text)).toBeCloseTo(seconds);
  });
  it.each(["", "a", "1:", ":1", "1.5:00", "-1", "1:2:3:4"])("%o is none", (text) => {
    expect(parseClock(text)).toBeNull();
  });
  it("is what parseClock makes of what clock wrote", () => {
    for (const seconds of [0, 0.1, 59.9, 61.5, 3725.3]) expect(parseClock(clock(seconds, 1))).toBeCloseTo(seconds);
  });
  it("is spoken in words", () => {
    expect([spoken(1), spoken(61), spoken(125)]).toEqual(["1 second", "1 minute 1 second", "2 minutes 5 seconds"]);
  });
  it("that is left promises no seconds", () => {
    expect([3, 11, 61, 7200].map(timeLeft)).toEqual(["a few seconds left", "about 15 s left", "about 2 min left", "about 2.0 h left"]);
  });
});

describe("a number", () => {
  it("of bytes has the unit of disks", () => {
    expect([bytes(12), bytes(1234), bytes(48_300_000), bytes(1.5e9)]).toEqual(["12 bytes", "1.2 kB", "48 MB", "1.5 GB"]);
  });
  it("has its sign, and none for nothing", () => {
    expect([signed(2), signed(-1.5, 1), signed(0)]).toEqual(["+2", "−1.5", "0"]);
  });
  it("of decibels ends in silence", () => {
    expect([decibels(1.5, -40), decibels(-3, -40), decibels(-40, -40)]).toEqual(["+1.5 dB", "−3 dB", "silent"]);
  });
  it("of a pan says the side", () => {
    expect([panned(-0.4), panned(0.001), panned(1)]).toEqual(["left 40 %", "centre", "right 100 %"]);
  });
});

it("a name becomes a title, a count a phrase", () => {
  expect([title("no_vocals"), counted(1, "stem"), counted(4, "stem")]).toEqual(["No vocals", "1 stem", "4 stems"]);
});
