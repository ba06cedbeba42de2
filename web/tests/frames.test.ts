import { describe, expect, it } from "vitest";
import { framing } from "../src/audio/frames";

const text = (word: string) => [...word].map((each) => each.charCodeAt(0));
const bytes = (...parts: (number[] | Uint8Array)[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

/** Where the frames of a file begin, as they are found one after another. */
function starts(file: Uint8Array): number[] {
  const found = framing(file);
  const all = found ? [found.first] : [];
  for (let next: number | null = all[0] ?? null; found && next !== null; ) {
    next = found.after(file, next, all.length - 1);
    if (next !== null) all.push(next);
  }
  return all;
}

describe("an mp3 file", () => {
  // 128 kbit/s at 44.1 kHz: 417 bytes, 418 with a padding byte.
  const frame = (padded = 0) => bytes([0xff, 0xfb, 0x90 | (padded << 1), 0xc0], new Uint8Array(413 + padded));
  const tag = bytes(text("ID3"), [3, 0, 0, 0, 0, 1, 2], new Uint8Array(130)); // its size has seven bits to a byte
  const info = (delay: number) => {
    const found = frame();
    found.set([...text("Info"), 0, 0, 0, 15], 21); // of a mono file
    found.set([delay >> 4, (delay & 15) << 4], 21 + 8 + 112 + 4 + 21 - 4);
    return found;
  };

  it("is cut at its frames, whatever their padding and whatever comes before and after them", () => {
    const file = bytes(tag, frame(), frame(1), frame(), text("TAG"), new Uint8Array(125));
    expect(starts(file)).toEqual([140, 557, 975, 1392]);
    expect(framing(file)).toMatchObject({ sampleRate: 44_100, samples: 1152, delay: 0 });
  });
  it("says what was put before the song, in a frame without sound", () => {
    const file = bytes(info(576), frame(), frame());
    expect(starts(file)).toEqual([417, 834, 1251]);
    expect(framing(file)?.delay).toBe(576 + 529);
  });
  it("is asked for more bytes where a frame is not all there", () => {
    expect(starts(bytes(frame(), frame().subarray(0, 100)))).toEqual([0, 417]);
    expect(framing(frame().subarray(0, 100))).toBeNull();
  });
});

describe("a flac file", () => {
  const crc8 = (data: Uint8Array) => data.reduce((sum, byte) => {
    let next = sum ^ byte;
    for (let bit = 0; bit < 8; bit++) next = ((next << 1) ^ (next & 0x80 ? 7 : 0)) & 0xff;
    return next;
  }, 0);
  const header = (number: number[]) => {
    const all = bytes([0xff, 0xf8, 0x59, 0x98], number);
    return bytes(all, [crc8(all)]);
  };
  const info = bytes(text("fLaC"), [0, 0, 0, 34], [0x12, 0, 0x12, 0], new Uint8Array(6), [0x0a, 0xc4, 0x42, 0xf0, 0, 0, 0x10, 0], new Uint8Array(16).fill(7));
  const comment = bytes([0x84, 0, 0, 3], [1, 2, 3]);
  const sound = bytes(header([5]), new Uint8Array(40)); // looks like a frame, and is not the next one
  const wrong = bytes([0xff, 0xf8, 0x59, 0x98, 1, 0], new Uint8Array(40)); // nor is this: its checksum is another

  it("is cut at its frames, and not where its sound looks like one", () => {
    const file = bytes(info, comment, header([0]), sound, wrong, header([1]), new Uint8Array(50), header([2]), new Uint8Array(50));
    const first = info.length + comment.length;
    const second = first + 6 + sound.length + wrong.length;
    expect(starts(file)).toEqual([first, second, second + 56]);
    expect(framing(file)).toMatchObject({ sampleRate: 44_100, samples: 4608, delay: 0, warmUp: 0 });
  });
  it("has frames whose number takes several bytes", () => {
    const found = framing(bytes(info, comment, header([0]), new Uint8Array(20)));
    const file = bytes(header([0xc2, 0x80]), new Uint8Array(20), header([0xe0, 0xa0, 0x81]), new Uint8Array(20));
    expect([found?.after(file, -1, 127), found?.after(file, 0, 2048)]).toEqual([0, 27]);
  });
  it("makes a file of any run of its frames, without the length and the checksum of all", () => {
    const before = framing(bytes(info, comment, header([0]), new Uint8Array(20)))?.before ?? new Uint8Array();
    expect([before.length, before[4]]).toEqual([42, 0x80]);
    expect([...before.subarray(18)]).toEqual([0x0a, 0xc4, 0x42, 0xf0, ...new Uint8Array(20)]);
  });
});

it("another file is not cut", () => {
  expect([framing(new Uint8Array()), framing(bytes(text("RIFF"), new Uint8Array(100))), framing(bytes(text("OggS"), new Uint8Array(100)))]).toEqual([null, null, null]);
});
