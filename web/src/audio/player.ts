/** Plays the stems of one song on one clock. Knows nothing of the page. */

import { Graph, startAll } from "./graph";
import { audible, AS_RECORDED, transpose, untouched, type Master, type Strip } from "./mix";
import { entry, position, type Region } from "./region";
import { Shifter } from "./shifter";

const AHEAD = 0.03; // s between deciding to play and playing: all sources have to be ready by then

/** How the stems come: decoded at the context's rate. */
export type Loader = (name: string, context: BaseAudioContext) => Promise<AudioBuffer>;

export class Player {
  private readonly buffers = new Map<string, AudioBuffer>();
  private readonly loads = new Map<string, Promise<void>>();
  private readonly context: AudioContext;
  private readonly graph: Graph;
  private readonly analyser: AnalyserNode;
  private readonly levels: Float32Array<ArrayBuffer>;
  private sources: AudioBufferSourceNode[] = [];
  private shifter: Promise<Shifter> | null = null;
  private latency = 0; // s, of the shifter while it is in the way
  private strips: Readonly<Record<string, Strip>>;
  private master: Master = AS_RECORDED;
  private loop: Region | null = null;
  private anchor = { time: 0, position: 0 }; // the song was, or will be, there at that time of the clock
  private on = false;
  private closed = false;

  constructor(
    strips: Readonly<Record<string, Strip>>,
    readonly duration: number,
    sampleRate: number,
    private readonly load: Loader,
    private readonly onLoaded: (name: string, buffer: AudioBuffer) => void,
  ) {
    this.strips = strips;
    this.context = new AudioContext({ sampleRate, latencyHint: "interactive" });
    this.graph = new Graph(this.context, Object.keys(strips));
    this.analyser = this.context.createAnalyser();
    this.levels = new Float32Array(this.analyser.fftSize);
    this.graph.bus.connect(this.graph.out).connect(this.analyser).connect(this.context.destination);
    this.graph.apply(strips, this.master, false);
  }

  get playing(): boolean {
    return this.on;
  }

  /** Where the song is, in what can be heard now. */
  get position(): number {
    if (!this.sources.length) return this.anchor.position;
    const heard = this.context.currentTime - this.latency - (this.context.outputLatency || 0);
    return this.positionAt(Math.max(heard, this.anchor.time));
  }

  /** The loudest sample of the last moments, as a factor of full scale. */
  get level(): number {
    this.analyser.getFloatTimeDomainData(this.levels);
    return this.levels.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0);
  }

  /** Load what can be heard, then play. A stem that is not to be heard is not loaded. */
  async play(): Promise<void> {
    this.on = true;
    await Promise.all([this.context.resume(), this.route(), ...this.wanted()]);
    if (this.on && !this.closed) this.restart(this.anchor.position);
  }

  pause(): void {
    const here = this.position;
    this.on = false;
    this.silence();
    this.anchor = { time: 0, position: here };
  }

  seek(to: number): void {
    const from = entry(to, this.loop, this.duration);
    if (this.sources.length) this.restart(from);
    else this.anchor = { time: 0, position: from };
  }

  setLoop(loop: Region | null): void {
    const here = this.position;
    this.loop = loop;
    this.seek(here);
  }

  /** Take new faders. Stems that are heard for the first time are loaded, and join in time with the others. */
  async setStrips(strips: Readonly<Record<string, Strip>>): Promise<void> {
    this.strips = strips;
    this.graph.apply(strips, this.master, true);
    const missing = this.wanted().length > 0;
    if (!this.on || !missing) return;
    await Promise.all(this.wanted());
    if (this.on && !this.closed) this.restart(this.position);
  }

  async setMaster(master: Master): Promise<void> {
    const before = this.master;
    this.master = master;
    this.graph.apply(this.strips, master, true);
    if (master.tempo === before.tempo && master.key === before.key) return;
    if (this.sources.length && master.tempo !== before.tempo) this.changeTempo(before.tempo);
    await this.route();
  }

  /** Everything a render of the mix needs to know. */
  async everything(): Promise<{ buffers: ReadonlyMap<string, AudioBuffer>; strips: Readonly<Record<string, Strip>>; master: Master }> {
    await Promise.all(this.wanted());
    const heard = new Set(audible(this.strips));
    const buffers = new Map([...this.buffers].filter(([name]) => heard.has(name)));
    return { buffers, strips: this.strips, master: this.master };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.on = false;
    this.silence();
    this.buffers.clear();
    if (this.context.state !== "closed") await this.context.close();
  }

  /** The loads of the stems that are to be heard and are not here yet. */
  private wanted(): Promise<void>[] {
    return audible(this.strips)
      .filter((name) => !this.buffers.has(name))
      .map((name) => {
        const load = this.loads.get(name) ?? this.fetch(name).finally(() => this.loads.delete(name));
        this.loads.set(name, load);
        return load;
      });
  }

  private async fetch(name: string): Promise<void> {
    const buffer = await this.load(name, this.context);
    if (this.closed) return;
    this.buffers.set(name, buffer);
    this.onLoaded(name, buffer);
  }

  private positionAt(time: number, tempo = this.master.tempo): number {
    return position(this.anchor.position, (time - this.anchor.time) * tempo, this.loop, this.duration);
  }

  private restart(at: number): void {
    this.silence();
    const when = this.context.currentTime + AHEAD;
    const from = entry(at, this.loop, this.duration);
    this.anchor = { time: when, position: from };
    const passage = { when, from, tempo: this.master.tempo, loop: this.loop };
    this.sources = startAll(this.context, this.graph, this.buffers, passage);
  }

  private silence(): void {
    for (const source of this.sources) {
      source.stop();
      source.disconnect();
    }
    this.sources = [];
  }

  /** All sources change speed at one moment that is still to come, or they would drift apart. */
  private changeTempo(before: number): void {
    const when = this.context.currentTime + AHEAD;
    this.anchor = { time: when, position: this.positionAt(when, before) };
    for (const source of this.sources) source.playbackRate.setValueAtTime(this.master.tempo, when);
  }

  /** The pitch shifter stands in the way only while it has something to do: it costs time and a little sound. */
  private async route(): Promise<void> {
    const { bus, out } = this.graph;
    if (untouched(this.master)) {
      if (this.latency === 0) return;
      bus.disconnect();
      bus.connect(out);
      this.latency = 0;
      return;
    }
    this.shifter ??= Shifter.on(this.context);
    const shifter = await this.shifter.catch((error: unknown) => {
      this.shifter = null; // the next change tries again
      throw error;
    });
    if (untouched(this.master) || this.closed) return;
    void shifter.shift(transpose(this.master), this.context.currentTime + AHEAD);
    if (this.latency > 0) return;
    bus.disconnect();
    bus.connect(shifter.node).connect(out);
    this.latency = shifter.latency;
  }
}
