/** One passage as it sounds: a source for each stem, faded in and out, so that whatever comes before and after makes no step. */

import type { Graph } from "./graph";
import type { Span } from "./windows";

const FADE = 0.005; // s

/** How long a fade is: whole samples, or sources would begin between two of them, and the browser interpolate. */
export function fadeAt(sampleRate: number): number {
  return Math.round(FADE * sampleRate);
}

/** What to play when. Places are samples of the song, moments samples of the context's clock. */
export interface Plan {
  readonly from: number;
  readonly to: number;
  readonly begin: number; // when `from` is played
  readonly tempo: number; // the sources' speed; the pitch that it changes is put right further on, once for the whole mix
}

/**
 * All sources start at one moment of one clock, so that they cannot drift. A piece fades out at its end, and fades in
 * before its beginning, with what the song has there: two pieces that join are one again, to the sample.
 */
export class Piece {
  readonly fadedIn: number;
  readonly fadesIn: number;
  private readonly sources: { readonly source: AudioBufferSourceNode; readonly gain: GainNode }[] = [];
  private stops: number;

  constructor(
    private readonly context: BaseAudioContext,
    graph: Graph,
    spans: ReadonlyMap<string, Span>,
    readonly plan: Plan,
    readonly latency: number, // samples between what a source plays and what is heard
  ) {
    const fade = fadeAt(context.sampleRate);
    const before = plan.from < fade * plan.tempo ? 0 : fade; // there is nothing before a song
    this.fadesIn = plan.begin - before;
    this.fadedIn = this.fadesIn + fade;
    this.stops = plan.begin + (plan.to - plan.from) / plan.tempo;
    for (const [name, span] of spans) this.start(graph.input(name), span, plan.from - before * plan.tempo);
  }

  /** When it is over, unless it is ended before. */
  get end(): number {
    return this.stops;
  }

  /** The place in the song that is played at a moment. */
  placeAt(moment: number): number {
    const { from, to, begin, tempo } = this.plan;
    return Math.min(from + Math.max(0, moment - begin) * tempo, to);
  }

  /** Be silent from a moment on. It must not lie in the fade at the beginning. */
  endAt(moment: number): void {
    if (moment >= this.stops) return;
    this.stops = moment;
    for (const { source, gain } of this.sources) {
      if (moment <= this.fadesIn) {
        source.stop();
        gain.disconnect();
      } else this.fadeOut(source, gain);
    }
  }

  private start(into: AudioNode, span: Span, from: number): void {
    const rate = this.context.sampleRate;
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    source.buffer = span.buffer;
    source.playbackRate.value = this.plan.tempo;
    source.connect(gain).connect(into);
    source.onended = () => gain.disconnect();
    gain.gain.setValueAtTime(0, this.fadesIn / rate);
    gain.gain.linearRampToValueAtTime(1, this.fadedIn / rate);
    source.start(this.fadesIn / rate, Math.max(0, from - span.start) / rate);
    this.fadeOut(source, gain);
    this.sources.push({ source, gain });
  }

  private fadeOut(source: AudioBufferSourceNode, { gain }: GainNode): void {
    const rate = this.context.sampleRate;
    const begins = (this.stops - fadeAt(rate)) / rate;
    gain.cancelScheduledValues(begins);
    gain.setValueAtTime(1, begins);
    gain.linearRampToValueAtTime(0, this.stops / rate);
    source.stop(this.stops / rate);
  }
}
