/** The nodes between the stems and the ear. The same for what is heard and for what is exported. */

import { gains, type Strip } from "./mix";

const GLIDE = 0.01; // s, of a change of gain: shorter clicks, longer lags

interface Channel {
  readonly gain: GainNode;
  readonly pan: StereoPannerNode;
}

/** One channel for each stem, into a bus that is left for the caller to connect. */
export class Graph {
  readonly bus: GainNode;
  private readonly channels = new Map<string, Channel>();

  constructor(
    private readonly context: BaseAudioContext,
    names: readonly string[],
  ) {
    this.bus = context.createGain();
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
  apply(strips: Readonly<Record<string, Strip>>, glide: boolean): void {
    const factors = gains(strips);
    for (const [name, { gain, pan }] of this.channels) {
      set(this.context, gain.gain, factors[name] ?? 0, glide);
      set(this.context, pan.pan, strips[name]?.pan ?? 0, glide);
    }
  }
}

/** Give a parameter a value; at once, or gliding. */
export function set(context: BaseAudioContext, parameter: AudioParam, value: number, glide: boolean): void {
  if (glide) parameter.setTargetAtTime(value, context.currentTime, GLIDE);
  else parameter.value = value;
}
