/** The nodes between the stems and the ear. The same for what is heard and for what is exported. */

import { gains, linear, type Master, type Strip } from "./mix";
import type { Region } from "./region";

const FADE = 0.01; // s, of a change of gain: shorter clicks, longer lags

interface Channel {
  readonly gain: GainNode;
  readonly pan: StereoPannerNode;
}

/** One channel for each stem, into a bus; the bus is left for the caller to connect. */
export class Graph {
  readonly bus: GainNode;
  readonly out: GainNode;
  private readonly channels = new Map<string, Channel>();

  constructor(
    private readonly context: BaseAudioContext,
    names: readonly string[],
  ) {
    this.bus = context.createGain();
    this.out = context.createGain();
    for (const name of names) {
      const gain = context.createGain();
      const pan = context.createStereoPanner();
      gain.connect(pan).connect(this.bus);
      this.channels.set(name, { gain, pan });
    }
  }

  /** Where a stem's source is connected to. */
  input(name: string): AudioNode {
    const channel = this.channels.get(name);
    if (!channel) throw new Error(`There is no stem ${name} in this mix.`);
    return channel.gain;
  }

  /** Set every fader; at once for an export, gliding while it is heard. */
  apply(strips: Readonly<Record<string, Strip>>, master: Master, glide: boolean): void {
    const factors = gains(strips);
    for (const [name, { gain, pan }] of this.channels) {
      this.set(gain.gain, factors[name] ?? 0, glide);
      this.set(pan.pan, strips[name]?.pan ?? 0, glide);
    }
    this.set(this.out.gain, linear(master.volume), glide);
  }

  private set(parameter: AudioParam, value: number, glide: boolean): void {
    if (glide) parameter.setTargetAtTime(value, this.context.currentTime, FADE);
    else parameter.value = value;
  }
}

/** What to play, from where, how. */
export interface Passage {
  readonly when: number; // s of the context's clock
  readonly from: number; // s of the song
  readonly tempo: number;
  readonly loop: Region | null;
}

/**
 * Start all buffers at one moment of one clock, so that they cannot drift. The tempo is the sources' speed; the pitch
 * that it changes is put right further on, once for the whole mix.
 */
export function startAll(
  context: BaseAudioContext,
  graph: Graph,
  buffers: ReadonlyMap<string, AudioBuffer>,
  passage: Passage,
): AudioBufferSourceNode[] {
  const sources: AudioBufferSourceNode[] = [];
  for (const [name, buffer] of buffers) {
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.playbackRate.value = passage.tempo;
    if (passage.loop) {
      source.loop = true;
      source.loopStart = passage.loop.start;
      source.loopEnd = passage.loop.end;
    }
    source.connect(graph.input(name));
    sources.push(source);
  }
  // On a whole sample, or the browser interpolates where nothing has to be changed.
  const offset = Math.round(passage.from * context.sampleRate) / context.sampleRate;
  for (const source of sources) source.start(passage.when, offset);
  return sources;
}
