/** Compressed files as the frames that they are made of: any run of them can be decoded by itself. Pure. */

/** How the frames of one file are found, and what they hold. */
export interface Framing {
  readonly sampleRate: number; // Hz
  readonly samples: number; // of a frame; the last one may have fewer
  readonly first: number; // byte at which the frames begin
  readonly before: Uint8Array<ArrayBuffer>; // what makes a file of a run of them
  readonly delay: number; // samples that a decoder gives before the song begins
  readonly warmUp: number; // frames before a place that its samples depend on
  readonly measured: boolean; // each frame says how long it is; if not, the last one ends with the file
  /** Where the frame after the `index`th, which begins at `at`, begins; null where it needs more bytes, or there is none. */
  after(data: Uint8Array, at: number, index: number): number | null;
}

/** Read the beginning of a file; null where its frames are of no kind that is known. */
export function framing(start: Uint8Array): Framing | null {
  return flac(start) ?? mp3(start);
}

const KILOBITS = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]; // MPEG 1, layer III
const RATES = [44_100, 48_000, 32_000];
const MP3_SAMPLES = 1152;
const MP3_DECODER = 529; // samples of delay, beside those that the encoder says it added
const RESERVOIR = 12; // frames: one may hold bits up to 511 bytes before it, and most frames have 100 or more; the filters remember two

/** The length of the frame at `at`, bytes; 0 where there is none. ISO 11172-3, 2.4.2.3. */
function mp3Frame(data: Uint8Array, at: number): number {
  const [one = 0, two = 0, three = 0] = data.subarray(at, at + 3);
  if (one !== 0xff || (two & 0xfe) !== 0xfa) return 0;
  const [bits, rate] = [KILOBITS[three >> 4], RATES[(three >> 2) & 3]];
  return bits && rate ? Math.floor((144_000 * bits) / rate) + ((three >> 1) & 1) : 0;
}

function mp3(start: Uint8Array): Framing | null {
  let first = 0;
  if (latin(start, 0, 3) === "ID3") first = 10 + start.subarray(6, 10).reduce((size, byte) => size * 128 + byte, 0);
  const size = mp3Frame(start, first);
  const sampleRate = RATES[((start[first + 2] ?? 0) >> 2) & 3];
  if (!size || !sampleRate || first + size > start.length) return null;
  const said = encoderDelay(start, first);
  if (said !== null) first += size; // that frame holds no sound
  return {
    sampleRate,
    samples: MP3_SAMPLES,
    first,
    before: new Uint8Array(),
    delay: said === null ? 0 : said + MP3_DECODER,
    warmUp: RESERVOIR,
    measured: true,
    after(data, at) {
      const length = at + 4 <= data.length ? mp3Frame(data, at) : 0;
      return length && at + length <= data.length ? at + length : null;
    },
  };
}

/** What the encoder says that it put before the song, in the frame that says so; null where there is no such frame. */
function encoderDelay(start: Uint8Array, frame: number): number | null {
  const mono = (start[frame + 3] ?? 0) >> 6 === 3;
  let at = frame + 4 + (mono ? 17 : 32);
  if (!["Xing", "Info"].includes(latin(start, at, 4))) return null;
  const has = start[at + 7] ?? 0;
  at += 8 + (has & 1 ? 4 : 0) + (has & 2 ? 4 : 0) + (has & 4 ? 100 : 0) + (has & 8 ? 4 : 0);
  return ((start[at + 21] ?? 0) << 4) | ((start[at + 22] ?? 0) >> 4);
}

const STREAMINFO = 42; // bytes: the file's four, the block's four, and the block. RFC 9639, 8.2
const FRAME_HEADER = 16; // bytes, at most

function flac(start: Uint8Array): Framing | null {
  if (latin(start, 0, 4) !== "fLaC" || start.length < STREAMINFO) return null;
  const number = (at: number, bytes: number) => start.subarray(at, at + bytes).reduce((sum, byte) => sum * 256 + byte, 0);
  const samples = number(8, 2);
  let first = 4;
  for (let last = false; !last; ) {
    last = (start[first] ?? 0x80) >= 0x80;
    first += 4 + number(first + 1, 3);
  }
  if (samples !== number(10, 2) || start[first] !== 0xff || start[first + 1] !== 0xf8) return null; // blocks of different lengths
  const before = start.slice(0, STREAMINFO);
  before[4] = 0x80; // the only block of its file
  before[21] = (before[21] ?? 0) & 0xf0; // how long the song is, and its checksum, are not known of a part
  before.fill(0, 22);
  return {
    sampleRate: number(18, 3) >> 4,
    samples,
    first,
    before,
    delay: 0,
    warmUp: 0,
    measured: false,
    after(data, at, index) {
      for (let next = at + 1; next + FRAME_HEADER <= data.length; next++) {
        if (data[next] === 0xff && data[next + 1] === 0xf8 && flacNumber(data, next) === index + 1) return next;
      }
      return null;
    },
  };
}

/** Which frame begins here; null where none does. RFC 9639, 9.1. */
function flacNumber(data: Uint8Array, at: number): number | null {
  const coded = data[at + 4] ?? 0;
  const more = coded < 0x80 ? 0 : coded < 0xe0 ? 1 : coded < 0xf0 ? 2 : coded < 0xf8 ? 3 : 4; // as UTF-8 has it
  let number = more ? coded & (0x3f >> more) : coded;
  for (let byte = 1; byte <= more; byte++) number = number * 64 + ((data[at + 4 + byte] ?? 0) & 0x3f);
  const [size, rate] = [(data[at + 2] ?? 0) >> 4, (data[at + 2] ?? 0) & 15];
  const end = at + 5 + more + (size === 6 ? 1 : size === 7 ? 2 : 0) + (rate === 12 ? 1 : rate === 13 || rate === 14 ? 2 : 0);
  return crc8(data.subarray(at, end)) === data[end] ? number : null;
}

function crc8(data: Uint8Array): number {
  let sum = 0;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = ((sum << 1) ^ (sum & 0x80 ? 0x07 : 0)) & 0xff;
  }
  return sum;
}

function latin(data: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...data.subarray(at, at + length));
}
