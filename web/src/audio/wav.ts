/** Samples to a WAV file, and what stands at the beginning of one. Pure. */

const HEADER = 44; // bytes
const FULL_SCALE = 2 ** 23 - 1;
const BYTES = 3; // of a sample of ours

/** The loudest sample of all channels, as a factor of full scale. */
export function peak(channels: readonly Float32Array[]): number {
  let loudest = 0;
  for (const channel of channels) for (const sample of channel) loudest = Math.max(loudest, Math.abs(sample));
  return loudest;
}

/** Equally long channels as 24-bit PCM, each sample times `gain`. */
export function pcm(channels: readonly Float32Array[], gain = 1): Uint8Array<ArrayBuffer> {
  const frames = channels[0]?.length ?? 0;
  const data = new Uint8Array(frames * channels.length * BYTES);
  let at = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) {
      const sample = Math.round(Math.min(1, Math.max(-1, (channel[frame] ?? 0) * gain)) * FULL_SCALE);
      data[at++] = sample & 0xff;
      data[at++] = (sample >> 8) & 0xff;
      data[at++] = (sample >> 16) & 0xff;
    }
  }
  return data;
}

/** What stands before so many frames of 24-bit PCM. */
export function opening(channels: number, sampleRate: number, frames: number): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(HEADER));
  const size = frames * channels * BYTES;
  const text = (at: number, word: string) => [...word].forEach((character, i) => view.setUint8(at + i, character.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // size of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels * BYTES, true);
  view.setUint16(32, channels * BYTES, true);
  view.setUint16(34, 8 * BYTES, true);
  text(36, "data");
  view.setUint32(40, size, true);
  return view.buffer;
}

/** What a WAV file says of itself. */
export interface WavHeader {
  readonly sampleRate: number;
  readonly frame: number; // bytes
  readonly begin: number; // of the samples, bytes from the file's beginning
  readonly end: number;
  before(samples: ArrayBuffer): ArrayBuffer; // a file of these samples alone
}

/** Read the beginning of a file; null where it is no WAV file, or one whose samples begin later. */
export function header(start: ArrayBuffer): WavHeader | null {
  const view = new DataView(start);
  const word = (at: number) => String.fromCharCode(...new Uint8Array(start, at, 4));
  if (start.byteLength < HEADER || word(0) !== "RIFF" || word(8) !== "WAVE") return null;
  let format: ArrayBuffer | null = null;
  for (let at = 12; at + 8 <= start.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    const begin = at + 8;
    if (word(at) === "data") return format && made(format, begin, size);
    if (word(at) === "fmt " && begin + size <= start.byteLength) format = start.slice(at, begin + size);
    at = begin + size + (size % 2);
  }
  return null;
}

function made(format: ArrayBuffer, begin: number, size: number): WavHeader {
  const view = new DataView(format);
  return {
    sampleRate: view.getUint32(12, true),
    frame: view.getUint16(20, true),
    begin,
    end: begin + size,
    before(samples) {
      const words = new TextEncoder();
      const file = new Uint8Array(12 + format.byteLength + 8 + samples.byteLength);
      const sizes = new DataView(file.buffer);
      file.set(words.encode("RIFF"), 0);
      sizes.setUint32(4, file.length - 8, true);
      file.set(words.encode("WAVE"), 8);
      file.set(new Uint8Array(format), 12);
      file.set(words.encode("data"), 12 + format.byteLength);
      sizes.setUint32(16 + format.byteLength, samples.byteLength, true);
      file.set(new Uint8Array(samples), 20 + format.byteLength);
      return file.buffer;
    },
  };
}
