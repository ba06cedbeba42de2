/** The samples of one stem, decoded a window at a time: a song of an hour takes no more memory than one of a minute. */

import { MARGIN, WINDOW } from "./passage";

const KEPT = 8; // windows of a stem: a loop of half a minute is decoded once

/** Decoded samples, and the place in the song of the first of them. */
export interface Span {
  readonly buffer: AudioBuffer;
  readonly start: number;
}

/** What can decode any part of a stem. */
export interface Reader {
  /** The samples from one place to another, or as many as there are; null where there are none. */
  read(from: number, to: number): Promise<Span | null>;
  /** Fetch no more. */
  close?(): void;
}

export class Windows {
  private readonly spans = new Map<number, Span | null>(); // the one used last is last
  private readonly loads = new Map<number, Promise<Span | null>>();

  constructor(
    private readonly reader: Reader,
    private readonly rate: number,
    private readonly decoded: (span: Span) => void,
  ) {}

  /** A window that is here; undefined where it has to be loaded first. */
  here(window: number): Span | null | undefined {
    const span = this.spans.get(window);
    if (span === undefined) return undefined;
    this.spans.delete(window);
    this.spans.set(window, span);
    return span;
  }

  async load(window: number): Promise<Span | null> {
    const here = this.here(window);
    if (here !== undefined) return here;
    const load = this.loads.get(window) ?? this.read(window).finally(() => this.loads.delete(window));
    this.loads.set(window, load);
    return load;
  }

  close(): void {
    this.spans.clear();
    this.reader.close?.();
  }

  private async read(window: number): Promise<Span | null> {
    const from = Math.max(0, (window * WINDOW - MARGIN) * this.rate);
    const span = await this.reader.read(Math.round(from), Math.round(((window + 1) * WINDOW + MARGIN) * this.rate));
    this.spans.set(window, span);
    for (const old of this.spans.keys()) {
      if (this.spans.size <= KEPT) break;
      this.spans.delete(old);
    }
    if (span) this.decoded(span);
    return span;
  }
}
