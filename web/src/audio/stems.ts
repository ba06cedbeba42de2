/** Stems as they lie on the service: fetched and decoded when they are to be heard. */

import { call } from "../net/api";
import type { Stem } from "../net/types";
import type { Peaks } from "./peaks";

export async function decode(stem: Stem, context: BaseAudioContext): Promise<AudioBuffer> {
  const response = await call(stem.url);
  const data = await response.arrayBuffer();
  try {
    return await context.decodeAudioData(data);
  } catch {
    throw new Error(`This browser cannot decode ${stem.name} in this format. Download it, or separate to mp3, wav or flac.`);
  }
}

/** The outline that the service computed; null when it has none. */
export async function peaks(stem: Stem): Promise<Peaks | null> {
  if (!stem.peaks_url) return null;
  try {
    return (await (await call(stem.peaks_url)).json()) as Peaks;
  } catch {
    return null; // the waveform then appears once the stem is decoded
  }
}
