import { describe, expect, it } from "vitest";
import { columns, loudest, Outline } from "../src/audio/peaks";
import { header, opening, pcm, peak } from "../src/audio/wav";

const text = (data: ArrayBuffer, at: number) => String.fromCharCode(...new Uint8Array(data, at, 4));

describe("a wav file", () => {
  it("says what is in it", () => {
    const file = opening(2, 44_100, 4);
    const view = new DataView(file);
    expect([text(file, 0), text(file, 8), text(file, 12), text(file, 36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
    expect([view.getUint16(22, true), view.getUint32(24, true), view.getUint16(34, true)]).toEqual([2, 44_100, 24]);
    expect([view.getUint32(4, true) + 8, view.getUint32(40, true)]).toEqual([44 + 24, 24]);
  });
  it("holds the samples of both channels in turn, and never wraps round", () => {
    const view = new DataView(pcm([Float32Array.of(0, 1, -1, 2), Float32Array.of(0.5, 0, 0, -2)]).buffer);
    const full = 2 ** 23 - 1;
    const sample = (at: number) => (view.getInt8(at + 2) << 16) | view.getUint16(at, true);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((each) => sample(3 * each))).toEqual([0, Math.round(full / 2), full, 0, -full, 0, full, -full]);
  });
  it("takes one gain for all", () => {
    const quiet = new DataView(pcm([Float32Array.of(1)], 0.25).buffer);
    expect(quiet.getUint16(0, true) | (quiet.getInt8(2) << 16)).toBe(Math.round((2 ** 23 - 1) / 4));
  });
  it("knows its peak beforehand", () => {
    expect(peak([Float32Array.of(0.1, -0.7), Float32Array.of(0.2)])).toBeCloseTo(0.7);
    expect(peak([])).toBe(0);
  });
});

describe("the beginning of a wav file", () => {
  const start = opening(2, 44_100, 1000);
  it("says where the samples are", () => {
    expect(header(start)).toMatchObject({ sampleRate: 44_100, frame: 6, begin: 44, end: 6044 });
  });
  it("is read over what other programs put before the samples", () => {
    const list = Uint8Array.of(...[..."LIST"].map((each) => each.charCodeAt(0)), 3, 0, 0, 0, 1, 2, 3, 0); // padded to two
    const file = new Uint8Array([...new Uint8Array(start, 0, 36), ...list, ...new Uint8Array(start, 36)]);
    expect(header(file.buffer)).toMatchObject({ frame: 6, begin: 56, end: 6056 });
  });
  it("makes a file of any of its samples", () => {
    const part = header(start)?.before(new ArrayBuffer(60)) ?? new ArrayBuffer(0);
    expect(part.byteLength).toBe(104);
    expect(header(part)).toMatchObject({ sampleRate: 44_100, frame: 6, begin: 44, end: 104 });
  });
  it("is none of another file, nor of one that is cut off before its samples", () => {
    expect([header(new ArrayBuffer(100)), header(start.slice(0, 30)), header(start.slice(0, 40)), header(new ArrayBuffer(0))]).toEqual([null, null, null, null]);
  });
});

describe("an outline", () => {
  it("of samples has the lowest and the highest of all channels, part by part", () => {
    const found = new Outline(4, 8000, 2);
    found.add([Float32Array.of(0, 0.5, 0), Float32Array.of(0, 0, -0.5)], 0);
    found.add([Float32Array.of(0, 0, 1), Float32Array.of(-1, 0, 0)], 2); // a sample more than there are
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
