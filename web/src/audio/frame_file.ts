/** A compressed file as it comes in: where its frames are, and their bytes. */

import type { Framing } from "./frames";
import type { StemFile } from "./stem_file";

const BLOCK = 1 << 20; // bytes that are put into a blob at once: the browser keeps those outside of the page's memory

export class FrameFile {
  private starts: number[] = []; // of each frame, bytes; and where the last one ends, once that is known
  private blobs: Blob[] = [];
  private chunks: Uint8Array<ArrayBuffer>[] = []; // what is in no blob yet
  private rest = new Uint8Array(); // from the last frame that was found on
  private coming: Promise<void> | null = null;
  private complete = false;
  private waiting: (() => void)[] = [];
  private readonly stop = new AbortController();

  constructor(
    private readonly file: StemFile,
    private readonly framing: Framing,
  ) {}

  /** The bytes of the frames from one up to another, as many of them as there are, once they are here. */
  async run(from: number, to: number): Promise<{ data: Blob; count: number }> {
    while (!this.complete && this.starts.length <= to) {
      this.coming ??= this.fetch().finally(() => (this.coming = null));
      await Promise.race([this.coming, new Promise<void>((more) => this.waiting.push(more))]);
    }
    const last = Math.min(to, this.starts.length - 1);
    const data = new Blob([...this.blobs, ...this.chunks]).slice(this.starts[from], this.starts[last]);
    return { data, count: Math.max(0, last - from) };
  }

  close(): void {
    this.stop.abort();
  }

  /** All of it, from the beginning; what came of an attempt that was cut off is forgotten. */
  private async fetch(): Promise<void> {
    Object.assign(this, { starts: [], blobs: [], chunks: [], rest: new Uint8Array() });
    const stream = await this.file.stream(this.stop.signal);
    let size = 0;
    for (let got = await stream.read(); !got.done; got = await stream.read()) {
      this.take(got.value, size);
      size += got.value.length;
      this.waiting.splice(0).forEach((more) => more());
    }
    if (!this.framing.measured) this.starts.push(size);
    this.complete = true;
  }

  private take(chunk: Uint8Array<ArrayBuffer>, size: number): void {
    this.chunks.push(chunk);
    if (this.chunks.reduce((sum, each) => sum + each.length, 0) >= BLOCK) this.blobs.push(new Blob(this.chunks.splice(0)));
    const data = new Uint8Array(this.rest.length + chunk.length);
    data.set(this.rest);
    data.set(chunk, this.rest.length);
    const begin = size - this.rest.length; // of `data` in the file
    if (this.starts.length === 0) {
      if (size + chunk.length <= this.framing.first) return;
      this.starts.push(this.framing.first);
    }
    let at = (this.starts.at(-1) ?? 0) - begin;
    for (let next: number | null = at; next !== null; ) {
      next = this.framing.after(data, at, this.starts.length - 1);
      if (next === null) break;
      at = next;
      this.starts.push(begin + at);
    }
    this.rest = data.slice(at);
  }
}
