/** What decodes parts of a stem, for each kind of file. */

import type { Stem } from "../net/types";
import type { Framing } from "./frames";
import { FrameFile } from "./frame_file";
import type { StemFile } from "./stem_file";
import type { WavHeader } from "./wav";
import type { Reader, Span } from "./windows";

export async function decode(data: ArrayBuffer, stem: Stem, context: BaseAudioContext): Promise<AudioBuffer> {
  try {
    return await context.decodeAudioData(data);
  } catch {
    throw new Error(`This browser cannot decode ${stem.name} in this format. Download it, or separate to mp3, wav or flac.`);
  }
}

/** Of a wav file any part can be fetched, and is one itself with the header before it. */
export class WavReader implements Reader {
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

/**
 * Of a compressed file a run of frames is decoded, a few earlier than is wanted where a frame depends on those before it.
 * What frames a browser drops at the beginning then do not matter: the last one is always there, so places are counted from it.
 */
export class FrameReader implements Reader {
  private readonly frames: FrameFile;

  constructor(
    private readonly file: StemFile,
    private readonly framing: Framing,
    private readonly context: BaseAudioContext,
  ) {
    this.frames = new FrameFile(file, framing);
  }

  async read(from: number, to: number): Promise<Span | null> {
    const { samples, delay, warmUp, before } = this.framing;
    const first = Math.max(0, Math.floor((from + delay) / samples) - warmUp);
    const { data, count } = await this.frames.run(first, Math.ceil((to + delay) / samples));
    if (count === 0) return null;
    const buffer = await decode(await new Blob([before, data]).arrayBuffer(), this.file.stem, this.context);
    const start = (warmUp ? (first + count) * samples - buffer.length : first * samples) - delay;
    return part(buffer, start, from, to);
  }

  close(): void {
    this.frames.close();
  }
}

/** A file that is decoded as a whole, and kept so. */
export class WholeReader implements Reader {
  constructor(private readonly whole: AudioBuffer) {}

  async read(from: number, to: number): Promise<Span | null> {
    return part(this.whole, 0, from, to);
  }
}

/** The samples from one place to another of a buffer that begins at `start`; null where it has none of them. */
function part(buffer: AudioBuffer, start: number, from: number, to: number): Span | null {
  const first = Math.max(from, start);
  const length = Math.min(to, start + buffer.length) - first;
  if (length <= 0) return null;
  const { numberOfChannels, sampleRate } = buffer;
  const found = new AudioBuffer({ numberOfChannels, length, sampleRate });
  for (let channel = 0; channel < numberOfChannels; channel++) {
    found.copyToChannel(buffer.getChannelData(channel).subarray(first - start, first - start + length), channel);
  }
  return { buffer: found, start: first };
}

