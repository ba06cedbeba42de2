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

/** The outline of decoded samples, for a stem that the server has none of. */
export function outline(channels: readonly Float32Array[], sampleRate: number, pairs = 2000): Peaks {
  const length = channels[0]?.length ?? 0;
  const each = Math.max(1, Math.ceil(length / pairs));
  const data = new Int8Array(2 * Math.ceil(length / each));
  for (let pair = 0; pair < data.length / 2; pair++) {
    let low = 0;
    let high = 0;
    for (const channel of channels) {
      for (let at = pair * each; at < Math.min(length, (pair + 1) * each); at++) {
        low = Math.min(low, channel[at] ?? 0);
        high = Math.max(high, channel[at] ?? 0);
      }
    }
    data[2 * pair] = Math.max(-128, Math.floor(low * 128));
    data[2 * pair + 1] = Math.min(127, Math.ceil(high * 127));
  }
  return { sample_rate: sampleRate, samples_per_peak: each, length, data };
}
