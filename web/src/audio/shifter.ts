/** The pitch shifter: Signalsmith Stretch, in an AudioWorklet, fetched when it is first needed. */

// One file is both: the main thread's half, and the module that the worklet loads. From our own origin, as the
// content security policy wants it.
import file from "../../node_modules/signalsmith-stretch/SignalsmithStretch.mjs?url";

interface Change {
  readonly outputTime?: number; // s of the context's clock
  readonly active?: boolean;
  readonly semitones?: number;
  readonly tonalityHz?: number;
}

interface StretchNode extends AudioWorkletNode {
  schedule(change: Change): Promise<unknown>;
  latency(): Promise<number>;
}

interface Library {
  default: ((context: BaseAudioContext, options: AudioWorkletNodeOptions) => Promise<StretchNode>) & { moduleUrl?: string };
}

// Above this the library lets pitches be where they are, which sounds brighter when a key changes; but here it also undoes
// what another speed did to the pitch, and that has to be undone up to the top.
const NO_LIMIT = 22_050; // Hz

export class Shifter {
  private constructor(
    readonly node: StretchNode,
    readonly latency: number, // s between what goes in and what comes out
  ) {}

  static async on(context: BaseAudioContext): Promise<Shifter> {
    const library = (await import(/* @vite-ignore */ file)) as Library;
    library.default.moduleUrl = file;
    const options = { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] };
    const node = await library.default(context, options);
    return new Shifter(node, await node.latency());
  }

  /** Shift by so many semitones from a moment of the context's clock on. */
  async shift(semitones: number, outputTime: number): Promise<void> {
    await this.node.schedule({ active: true, semitones, tonalityHz: NO_LIMIT, outputTime });
  }
}
