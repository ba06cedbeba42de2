import { describe, expect, it } from "vitest";
import { columns, loudest, outline } from "../src/audio/peaks";
import { peak, wav } from "../src/audio/wav";

describe("a wav file", () => {
  const file = wav([Float32Array.of(0, 1, -1, 2), Float32Array.of(0.5, 0, 0, -2)], 44_100);
  const view = new DataView(file);
  const text = (at: number) => String.fromCharCode(...new Uint8Array(file, at, 4));
  const sample = (at: number) => (view.getInt8(at + 2) << 16) | view.getUint16(at, true);

  it("says what is in it", () => {
    expect([text(0), text(8), text(12), text(36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
    expect([view.getUint16(22, true), view.getUint32(24, true), view.getUint16(34, true)]).toEqual([2, 44_100, 24]);
    expect([view.getUint32(4, true) + 8, view.getUint32(40, true) + 44]).toEqual([file.byteLength, file.byteLength]);
  });
  it("holds the samples of both channels in turn, and never wraps round", () => {
    const full = 2 ** 23 - 1;
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((each) => sample(44 + 3 * each))).toEqual([0, Math.round(full / 2), full, 0, -full, 0, full, -full]);
  });
  it("takes one gain for all", () => {
    const quiet = new DataView(wav([Float32Array.of(1)], 8000, 0.25));
    expect(quiet.getUint16(44, true) | (quiet.getInt8(46) << 16)).toBe(Math.round((2 ** 23 - 1) / 4));
  });
  it("knows its peak beforehand", () => {
    expect(peak([Float32Array.of(0.1, -0.7), Float32Array.of(0.2)])).toBeCloseTo(0.7);
    expect(peak([])).toBe(0);
  });
});

describe("an outline", () => {
  it("of samples has the lowest and the highest of all channels", () => {
    const found = outline([Float32Array.of(0, 0.5, 0, 0), Float32Array.of(0, 0, -1, 0)], 8000, 2);
    expect([found.samples_per_peak, found.length, ...Array.from(found.data)]).toEqual([2, 4, 0, 64, -128, 0]);
    expect(loudest(found)).toBe(1);
  });
  it("drawn in fewer columns loses no peak", () => {
    const peaks = { sample_rate: 1, samples_per_peak: 1, length: 4, data: [0, 0, -128, 64, 0, 0, 0, 32] };
    expect(Array.from(columns(peaks, 2))).toEqual([-1, 0.5, 0, 0.25]);
  });
  it("drawn in more columns has no holes", () => {
    const peaks = { sample_rate: 1, samples_per_peak: 1, length: 2, data: [-64, 64, -32, 32] };
    expect(Array.from(columns(peaks, 4))).toEqual([-0.5, 0.5, -0.5, 0.5, -0.25, 0.25, -0.25, 0.25]);
  });
  it("of nothing is flat", () => {
    expect(Array.from(columns({ sample_rate: 1, samples_per_peak: 1, length: 0, data: [] }, 2))).toEqual([0, 0, 0, 0]);
  });
});
