/** Stems as they lie on the service: fetched and decoded when they are to be heard, a part at a time where that can be done. */

import { call } from "../net/api";
import type { Stem } from "../net/types";
import { framing } from "./frames";
import type { Peaks } from "./peaks";
import { decode, FrameReader, WavReader, WholeReader } from "./readers";
import { StemFile, type Fresh } from "./stem_file";
import { header } from "./wav";
import type { Reader } from "./windows";

const HEADER = 65_536; // bytes: the sound begins in them, or it is a file of another kind

/** Open a stem: nothing of it is decoded before it is read. */
export async function open(fresh: Fresh, context: BaseAudioContext): Promise<Reader> {
  const file = new StemFile(await fresh(), fresh);
  const head = await file.bytes(0, HEADER);
  if (!head.whole) {
    const wav = header(head.data);
    if (wav?.sampleRate === context.sampleRate) return new WavReader(file, wav, context);
    const frames = framing(new Uint8Array(head.data));
    if (frames?.sampleRate === context.sampleRate) return new FrameReader(file, frames, context);
  }
  const data = head.whole ? head.data : (await file.bytes(0, null)).data;
  return new WholeReader(await decode(data, file.stem, context));
}

/** The outline that the service computed; null when it has none. */
export async function peaks(stem: Stem): Promise<Peaks | null> {
  if (!stem.peaks_url) return null;
  try {
    return (await (await call(stem.peaks_url)).json()) as Peaks;
  } catch {
    return null; // the waveform then appears as the stem is decoded
  }
}
