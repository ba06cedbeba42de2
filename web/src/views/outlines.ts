/** The waveforms of a song's stems, all to one scale, so that loud and quiet stems can be told apart. */

import { loudest, Outline, type Peaks } from "../audio/peaks";
import { peaks } from "../audio/stems";
import type { Span } from "../audio/windows";
import type { Stem } from "../net/types";
import type { StripView } from "./strip";

const FULL = 0.95; // of a lane's height, for the loudest sample of all
const LEAST = 0.05; // what is quieter than this is shown as quiet

export class Outlines {
  private readonly found = new Map<string, Peaks>();

  constructor(
    private readonly views: ReadonlyMap<string, StripView>,
    private readonly duration: number,
  ) {}

  /** As the service computed them: nothing is decoded before it is to be heard. Resolves to the stems' rate, if it is known. */
  async fetch(stems: readonly Stem[]): Promise<number | undefined> {
    await Promise.all(
      stems.map(async (stem) => {
        const peaksOfStem = await peaks(stem);
        if (peaksOfStem) this.found.set(stem.name, peaksOfStem);
        else if (!this.found.has(stem.name)) this.views.get(stem.name)?.note("its waveform appears when it is loaded");
      }),
    );
    this.show();
    return [...this.found.values()][0]?.sample_rate;
  }

  /** For a stem that the service has no outline of. */
  decoded(name: string, { buffer, start }: Span): void {
    const outline = this.found.get(name) ?? new Outline(Math.round(this.duration * buffer.sampleRate), buffer.sampleRate);
    if (!(outline instanceof Outline)) return;
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, channel) => buffer.getChannelData(channel));
    outline.add(channels, start);
    this.found.set(name, outline);
    this.show();
  }

  private show(): void {
    const scale = FULL / Math.max(LEAST, ...[...this.found.values()].map(loudest));
    for (const [name, each] of this.found) this.views.get(name)?.wave.show(each, scale);
  }
}
