/** The mix as it is set, computed into a file. */

import { Graph, startAll } from "./graph";
import { transpose, untouched, type Master, type Strip } from "./mix";
import type { Region } from "./region";
import { Shifter } from "./shifter";
import { peak, wav } from "./wav";

export interface Rendered {
  readonly file: Blob;
  readonly turnedDown: number; // dB that the whole mix was turned down by, because it was over full scale; else 0
}

/** Render `passage` of the song; `onProgress` hears how much of it is done, 0 to 1. Same nodes, same faders and same pitch shifter as what is heard. */
export async function render(
  buffers: ReadonlyMap<string, AudioBuffer>,
  strips: Readonly<Record<string, Strip>>,
  master: Master,
  passage: Region,
  sampleRate: number,
  onProgress: (fraction: number) => void,
): Promise<Rendered> {
  const length = Math.max(1, Math.round(((passage.end - passage.start) / master.tempo) * sampleRate));
  const shifted = !untouched(master);
  // The shifter's delay is known once it is there, and the length has to be said before: so there is always room for it.
  const context = new OfflineAudioContext(2, length + (shifted ? sampleRate : 0), sampleRate);
  const graph = new Graph(context, Object.keys(strips));
  graph.apply(strips, master, false);
  graph.out.connect(context.destination);
  startAll(context, graph, buffers, { when: 0, from: passage.start, tempo: master.tempo, loop: null });
  const { done, delay } = shifted ? await throughShifter(context, graph, master) : straight(context, graph);
  const watching = setInterval(() => onProgress(context.currentTime / (context.length / sampleRate)), 250);
  const rendered = await done.finally(() => clearInterval(watching));
  const channels = [0, 1].map((channel) => rendered.getChannelData(channel).subarray(delay, delay + length));
  const loudest = peak(channels);
  const gain = loudest > 1 ? 1 / loudest : 1;
  const file = new Blob([wav(channels, sampleRate, gain)], { type: "audio/wav" });
  return { file, turnedDown: loudest > 1 ? 20 * Math.log10(loudest) : 0 };
}

interface Rendering {
  readonly done: Promise<AudioBuffer>;
  readonly delay: number; // samples before the mix begins
}

function straight(context: OfflineAudioContext, graph: Graph): Rendering {
  graph.bus.connect(graph.out);
  return { done: context.startRendering(), delay: 0 };
}

/** A worklet of an offline context answers once rendering has begun, so this begins, halts at 0, and goes on when it is there. */
async function throughShifter(context: OfflineAudioContext, graph: Graph, master: Master): Promise<Rendering> {
  const halts = typeof context.suspend === "function"; // where it does not, the worklet answers before
  const halted = halts ? context.suspend(0) : null;
  const done = halts ? context.startRendering() : null;
  await halted;
  const shifter = await Shifter.on(context);
  await shifter.shift(transpose(master), 0);
  graph.bus.connect(shifter.node).connect(graph.out);
  if (halts) await context.resume();
  return { done: done ?? context.startRendering(), delay: Math.round(shifter.latency * context.sampleRate) };
}
