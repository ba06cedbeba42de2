/** Stems as they lie on the service: fetched and decoded when they are to be heard, a part at a time where that can be done. */

import { ApiError, call } from "../net/api";
import type { Stem } from "../net/types";
import type { Peaks } from "./peaks";
import { header, type WavHeader } from "./wav";
import type { Reader, Span } from "./windows";

const HEADER = 65_536; // bytes: the samples of a wav file begin in them, or it is a file of another kind

/** Where a stem is now: its URL does not hold for ever. */
export type Fresh = () => Promise<Stem>;

/** Open a stem: nothing of it is decoded before it is read. */
export async function open(fresh: Fresh, context: BaseAudioContext): Promise<Reader> {
  const file = new StemFile(await fresh(), fresh);
  const head = await file.bytes(0, HEADER);
  const found = head.whole ? null : header(head.data);
  if (found?.sampleRate === context.sampleRate) return new WavReader(file, found, context);
  const data = head.whole ? head.data : (await file.bytes(0, null)).data;
  return new WholeReader(await decode(data, file.stem, context));
}

async function decode(data: ArrayBuffer, stem: Stem, context: BaseAudioContext): Promise<AudioBuffer> {
  try {
    return await context.decodeAudioData(data);
  } catch {
    throw new Error(`This browser cannot decode ${stem.name} in this format. Download it, or separate to mp3, wav or flac.`);
  }
}

class StemFile {
  constructor(
    public stem: Stem,
    private readonly fresh: Fresh,
  ) {}

  /** Bytes from one place up to another, or all of them: also where a store knows no ranges. */
  async bytes(from: number, to: number | null): Promise<{ data: ArrayBuffer; whole: boolean }> {
    const response = await this.get(to === null ? {} : { Range: `bytes=${from}-${to - 1}` });
    const data = await response.arrayBuffer();
    return { data, whole: response.status !== 206 || (from === 0 && data.byteLength >= this.stem.size) };
  }

  private async get(headers: Record<string, string>): Promise<Response> {
    try {
      return await call(this.stem.url, { headers });
    } catch (error) {
      if (!(error instanceof ApiError) || ![401, 403].includes(error.status)) throw error;
      this.stem = await this.fresh(); // its URL has expired
      return call(this.stem.url, { headers });
    }
  }
}

/** Of a wav file any part can be fetched, and is one itself with the header before it. */
class WavReader implements Reader {
  constructor(
    private readonly file: StemFile,
    private readonly header: WavHeader,
    private readonly context: BaseAudioContext,
  ) {}

  async read(from: number, to: number): Promise<Span | null> {
    const { begin, end, frame } = this.header;
    const last = Math.min(begin + to * frame, end);
    const first = begin + from * frame;
    if (first >= last) return null;
    const { data } = await this.file.bytes(first, last);
    return { buffer: await decode(this.header.before(data), this.file.stem, this.context), start: from };
  }
}

/** A file that is decoded as a whole, and kept so. */
class WholeReader implements Reader {
  constructor(private readonly whole: AudioBuffer) {}

  async read(from: number, to: number): Promise<Span | null> {
    const { numberOfChannels, length, sampleRate } = this.whole;
    if (from >= length) return null;
    const buffer = new AudioBuffer({ numberOfChannels, length: Math.min(to, length) - from, sampleRate });
    for (let channel = 0; channel < numberOfChannels; channel++) {
      buffer.copyToChannel(this.whole.getChannelData(channel).subarray(from, to), channel);
    }
    return { buffer, start: from };
  }
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
