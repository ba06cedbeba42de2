/** Samples to a WAV file. Pure. */

const HEADER = 44; // bytes
const FULL_SCALE = 2 ** 23 - 1;

/** The loudest sample of all channels, as a factor of full scale. */
export function peak(channels: readonly Float32Array[]): number {
  let loudest = 0;
  for (const channel of channels) for (const sample of channel) loudest = Math.max(loudest, Math.abs(sample));
  return loudest;
}

/** A 24-bit PCM file of equally long channels, each sample times `gain`. */
export function wav(channels: readonly Float32Array[], sampleRate: number, gain = 1): ArrayBuffer {
  const frames = channels[0]?.length ?? 0;
  const size = frames * channels.length * 3;
  const file = new ArrayBuffer(HEADER + size);
  writeHeader(new DataView(file), channels.length, sampleRate, size);
  const data = new Uint8Array(file, HEADER);
  let at = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) {
      const sample = Math.round(Math.min(1, Math.max(-1, (channel[frame] ?? 0) * gain)) * FULL_SCALE);
      data[at++] = sample & 0xff;
      data[at++] = (sample >> 8) & 0xff;
      data[at++] = (sample >> 16) & 0xff;
    }
  }
  return file;
}

function writeHeader(view: DataView, channels: number, sampleRate: number, size: number): void {
  const text = (at: number, word: string) => [...word].forEach((character, i) => view.setUint8(at + i, character.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // size of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels * 3, true);
  view.setUint16(32, channels * 3, true);
  view.setUint16(34, 24, true);
  text(36, "data");
  view.setUint32(40, size, true);
}
