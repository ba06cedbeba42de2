/** The mix as it is set, computed into a file. */

import { Graph, set } from "./graph";
import { linear, transpose, untouched, type Master, type Strip } from "./mix";
import { passages, type Passage } from "./passage";
import type { Region } from "./region";
import { Shifter } from "./shifter";
import { opening, pcm, peak } from "./wav";
import type { Windows } from "./windows";

export interface Rendered {
  readonly file: Blob;
  readonly turnedDown: number; // dB that the whole mix was turned down by, because it was over full scale; else 0
}

type Stems = ReadonlyMap<string, Windows>;
type Strips = Readonly<Record<string, Strip>>;
type Channels = readonly [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>];
type Heard = (fraction: number) => void;

/** Render a part of the song; `onProgress` hears how much of it is done, 0 to 1. Same nodes, same faders and same pitch shifter as what is heard. */
export async function render(stems: Stems, strips: Strips, master: Master, part: Region, sampleRate: number, onProgress: Heard): Promise<Rendered> {
  const [from, to] = [Math.round(part.start * sampleRate), Math.round(part.end * sampleRate)];
  const mixed = mix(stems, strips, master, from, to, sampleRate);
  const blocks = untouched(master) ? mixed : shifted(mixed, master, to - from, sampleRate, onProgress);
  // Nothing is written before the loudest sample is known. Blobs meanwhile: a browser puts long ones on the disk.
  const kept: Blob[] = [];
  let [loudest, frames] = [0, 0];
  for await (const channels of blocks) {
    kept.push(new Blob([...channels]));
    loudest = Math.max(loudest, peak(channels));
    frames += channels[0].length;
    if (untouched(master)) onProgress(frames / (to - from));
  }
  const parts: BlobPart[] = [opening(2, sampleRate, frames)];
  for (const block of kept) parts.push(new Blob([pcm(halves(await block.arrayBuffer()), loudest > 1 ? 1 / loudest : 1)]));
  return { file: new Blob(parts, { type: "audio/wav" }), turnedDown: loudest > 1 ? 20 * Math.log10(loudest) : 0 };
}

function halves(data: ArrayBuffer): Channels {
  const samples = new Float32Array(data);
  return [samples.subarray(0, samples.length / 2), samples.subarray(samples.length / 2)];
}

/** The mix as it was recorded, a window at a time: no node of it remembers anything, so the windows join without a seam. */
async function* mix(stems: Stems, strips: Strips, master: Master, from: number, to: number, sampleRate: number): AsyncGenerator<Channels> {
  for (const each of passages(from, to, sampleRate)) {
    const context = new OfflineAudioContext(2, Math.max(1, each.to - each.from), sampleRate);
    const graph = new Graph(context, Object.keys(strips));
    const out = context.createGain();
    graph.apply(strips, false);
    set(context, out.gain, linear(master.volume), false);
    graph.bus.connect(out).connect(context.destination);
    await Promise.all([...stems].map(([name, windows]) => start(context, graph.input(name), windows, each)));
    const rendered = await context.startRendering();
    yield [rendered.getChannelData(0), rendered.getChannelData(1)];
  }
}

async function start(context: BaseAudioContext, input: AudioNode, windows: Windows, { window, from }: Passage): Promise<void> {
  const span = await windows.load(window);
  if (!span) return;
  const source = context.createBufferSource();
  source.buffer = span.buffer;
  source.connect(input);
  source.start(0, (from - span.start) / context.sampleRate);
}

/** The mix at another tempo or in another key. The pitch shifter goes through it in one go. */
async function* shifted(mixed: AsyncGenerator<Channels>, master: Master, frames: number, sampleRate: number, onProgress: Heard): AsyncGenerator<Channels> {
  const recorded = new AudioBuffer({ numberOfChannels: 2, length: Math.max(1, frames), sampleRate });
  let at = 0;
  for await (const channels of mixed) {
    channels.forEach((channel, index) => recorded.copyToChannel(channel, index, at));
    at += channels[0].length;
  }
  const length = Math.max(1, Math.round(frames / master.tempo));
  // The shifter's delay is known once it is there, and the length has to be said before: so there is always room for it.
  const context = new OfflineAudioContext(2, length + sampleRate, sampleRate);
  const source = context.createBufferSource();
  source.buffer = recorded;
  source.playbackRate.value = master.tempo;
  source.start();
  const { done, delay } = await throughShifter(context, source, master);
  const watching = setInterval(() => onProgress(context.currentTime / (context.length / sampleRate)), 250);
  const rendered = await done.finally(() => clearInterval(watching));
  yield [rendered.getChannelData(0).subarray(delay, delay + length), rendered.getChannelData(1).subarray(delay, delay + length)];
}

interface Rendering {
  readonly done: Promise<AudioBuffer>;
  readonly delay: number; // samples before the mix begins
}

/** A worklet of an offline context answers once rendering has begun, so this begins, halts at 0, and goes on when it is there. */
async function throughShifter(context: OfflineAudioContext, source: AudioNode, master: Master): Promise<Rendering> {
  const halts = typeof context.suspend === "function"; // where it does not, the worklet answers before
  const halted = halts ? context.suspend(0) : null;
  const done = halts ? context.startRendering() : null;
  await halted;
  const shifter = await Shifter.on(context);
  await shifter.shift(transpose(master), 0);
  source.connect(shifter.node).connect(context.destination);
  if (halts) await context.resume();
  return { done: done ?? context.startRendering(), delay: Math.round(shifter.latency * context.sampleRate) };
}
