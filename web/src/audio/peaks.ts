/** The outline of a waveform. Pure. */

/** As the server computes it: pairs of lowest and highest sample, 8 bit, one pair for `samples_per_peak` samples. */
export interface Peaks {
  readonly sample_rate: number;
  readonly samples_per_peak: number;
  readonly length: number; // samples
  readonly data: ArrayLike<number>; // min, max, min, max ..., -128 to 127
}

/** Lowest and highest of each of `columns` columns, -1 to 1. Never invents a column of silence where there is sound. */
export function columns(peaks: Peaks, columns: number): Float32Array {
  const pairs = Math.floor(peaks.data.length / 2);
  const found = new Float32Array(columns * 2);
  for (let column = 0; column < columns && pairs > 0; column++) {
    const from = Math.min(pairs - 1, Math.floor((column * pairs) / columns));
    const to = Math.max(from + 1, Math.floor(((column + 1) * pairs) / columns));
    let low = 127;
    let high = -128;
    for (let pair = from; pair < to; pair++) {
      low = Math.min(low, peaks.data[2 * pair] ?? 0);
      high = Math.max(high, peaks.data[2 * pair + 1] ?? 0);
    }
    found[2 * column] = low / 128;
    found[2 * column + 1] = high / 128;
  }
  return found;
}

/** The loudest sample of an outline, 0 to 1. */
export function loudest(peaks: Peaks): number {
  let found = 0;
  for (let at = 0; at < peaks.data.length; at++) found = Math.max(found, Math.abs(peaks.data[at] ?? 0));
  return found / 128;
}

/** The outline of a stem that the server has none of, made of its samples as they are decoded. */
export class Outline implements Peaks {
  readonly samples_per_peak: number;
  readonly data: Int8Array;

  constructor(
    readonly length: number, // samples
    readonly sample_rate: number,
    pairs = 2000,
  ) {
    this.samples_per_peak = Math.max(1, Math.ceil(length / pairs));
    this.data = new Int8Array(2 * Math.ceil(length / this.samples_per_peak));
  }

  /** Take in the samples of a part that begins at `start`. */
  add(channels: readonly Float32Array[], start: number): void {
    for (const channel of channels) {
      for (let at = 0; at < channel.length; at++) {
        const pair = 2 * Math.floor((start + at) / this.samples_per_peak);
        const sample = channel[at] ?? 0;
        if (pair >= this.data.length) break;
        this.data[pair] = Math.max(-128, Math.min(this.data[pair] ?? 0, Math.floor(sample * 128)));
        this.data[pair + 1] = Math.min(127, Math.max(this.data[pair + 1] ?? 0, Math.ceil(sample * 127)));
      }
    }
  }
}
