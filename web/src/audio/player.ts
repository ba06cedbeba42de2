/** Plays the stems of one song on one clock. Knows nothing of the page. */

import { Graph, set } from "./graph";
import { audible, AS_RECORDED, linear, transpose, untouched, type Master, type Strip } from "./mix";
import { entry, inSamples, passage, type Song } from "./passage";
import { fadeAt, Piece } from "./piece";
import type { Region } from "./region";
import { Shifter } from "./shifter";
import { Windows, type Reader, type Span } from "./windows";

const AHEAD = 0.05; // s between deciding what is heard and hearing it: all sources have to be ready by then
const LEAD = 2; // s that are always planned: a tab in the background is asked but once in a second
const EVERY = 100; // ms between two looks at what is planned
const PATIENCE = 200; // ms that a seek waits for samples while what was heard goes on

/** How a stem comes: what decodes it at the context's rate. */
export type Opener = (name: string, context: BaseAudioContext) => Promise<Reader>;

export interface PlayerEvents {
  decoded(name: string, span: Span): void;
  failed(error: unknown): void; // samples did not come; it plays no more
}

/** The way from the stems to the ear, straight or through the pitch shifter. */
interface Path {
  readonly graph: Graph;
  readonly latency: number; // samples
  readonly shifter: Shifter | null;
}

export class Player {
  private readonly stems = new Map<string, Promise<Windows>>(); // those that were ever to be heard
  private readonly context: AudioContext;
  private readonly out: GainNode;
  private readonly analyser: AnalyserNode;
  private readonly levels: Float32Array<ArrayBuffer>;
  private readonly straight: Path;
  private shifted: Promise<Path> | null = null;
  private path: Path;
  private tempo = 1;
  private strips: Readonly<Record<string, Strip>>;
  private master: Master = AS_RECORDED;
  private song: Song;
  private pieces: Piece[] = []; // as they follow each other; never without one that is heard
  private ready = new Map<string, Windows>(); // the stems of `stems` that are here
  private next: { place: number; at: number } | null = null; // what is planned after the last piece, and when it is heard
  private place = 0; // where the song is while nothing is heard, or until `arrives`
  private arrives = 0;
  private turn = 0; // counts what was asked: what is late for another is dropped
  private on = false;
  private closed = false;
  private timer = 0;

  constructor(
    strips: Readonly<Record<string, Strip>>,
    readonly duration: number,
    readonly sampleRate: number,
    private readonly open: Opener,
    private readonly events: PlayerEvents,
  ) {
    this.strips = strips;
    this.song = { length: Math.round(duration * sampleRate), rate: sampleRate, loop: null };
    this.context = new AudioContext({ sampleRate, latencyHint: "interactive" });
    this.out = this.context.createGain();
    this.analyser = this.context.createAnalyser();
    this.levels = new Float32Array(this.analyser.fftSize);
    this.straight = this.path = { graph: new Graph(this.context, Object.keys(strips)), latency: 0, shifter: null };
    this.straight.graph.bus.connect(this.out).connect(this.analyser).connect(this.context.destination);
    this.straight.graph.apply(strips, false);
  }

  get playing(): boolean {
    return this.on;
  }

  /** Where the song is, in what can be heard now; seconds. */
  get position(): number {
    const place = this.heardAt(this.now - (this.context.outputLatency || 0) * this.sampleRate);
    return place >= this.song.length ? this.duration : place / this.sampleRate;
  }

  /** The loudest sample of the last moments, as a factor of full scale. */
  get level(): number {
    this.analyser.getFloatTimeDomainData(this.levels);
    return this.levels.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0);
  }

  /** Load what can be heard, then play. A stem that is not to be heard is not loaded. */
  async play(): Promise<void> {
    this.on = true;
    window.clearInterval(this.timer);
    this.timer = window.setInterval(() => this.plan(), EVERY);
    await Promise.all([this.context.resume(), this.setMaster(this.master)]);
    await this.go(entry(this.place, this.song));
  }

  pause(): void {
    this.on = false;
    this.turn++;
    window.clearInterval(this.timer);
    this.silence();
  }

  seek(to: number): void {
    this.jump(Math.round(to * this.sampleRate)).catch((error: unknown) => this.fail(error));
  }

  setLoop(loop: Region | null): void {
    const place = this.heardAt(this.soonest());
    this.song = { ...this.song, loop: inSamples(loop, this.sampleRate) };
    const stays = entry(place, this.song) === place;
    if (!stays) this.jump(place).catch((error: unknown) => this.fail(error));
    else if (this.pieces.length) this.cut(null);
  }

  /** Take new faders. Stems that are heard for the first time are loaded, and join in time with the others. */
  async setStrips(strips: Readonly<Record<string, Strip>>): Promise<void> {
    this.strips = strips;
    this.straight.graph.apply(strips, true);
    void this.shifted?.then(({ graph }) => graph.apply(strips, true), () => undefined); // its failure was told when it was asked for
    if (!this.on || audible(strips).every((name) => this.ready.has(name))) return;
    await this.loaded(this.heardAt(this.now));
    await this.loaded(this.heardAt(this.now + LEAD * this.sampleRate));
    if (this.on && this.pieces.length) this.cut(null);
  }

  async setMaster(master: Master): Promise<void> {
    this.master = master;
    set(this.context, this.out.gain, linear(master.volume), true);
    const path = untouched(master) ? this.straight : await this.throughShifter();
    if (master !== this.master || this.closed) return;
    const moved = path !== this.path || master.tempo !== this.tempo;
    this.path = path;
    this.tempo = master.tempo;
    if (moved && this.pieces.length) this.cut(null);
    else this.transpose(this.soonest());
  }

  /** Everything that a render of the mix needs to know. */
  async everything(): Promise<{ stems: ReadonlyMap<string, Windows>; strips: Readonly<Record<string, Strip>>; master: Master }> {
    const stems = await Promise.all(audible(this.strips).map(async (name) => [name, await this.opened(name)] as const));
    return { stems: new Map(stems), strips: this.strips, master: this.master };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.pause();
    for (const stem of this.ready.values()) stem.close();
    this.ready.clear();
    this.stems.clear();
    if (this.context.state !== "closed") await this.context.close();
  }

  private get now(): number {
    return Math.ceil(this.context.currentTime * this.sampleRate);
  }

  /** The place in the song that is heard at a moment, as far as it is planned. */
  private heardAt(moment: number): number {
    if (moment < this.arrives) return this.place;
    const begun = this.pieces.filter((piece) => piece.plan.begin + piece.latency <= moment);
    const piece = begun.at(-1) ?? this.pieces[0];
    return piece ? piece.placeAt(moment - piece.latency) : this.place;
  }

  /** Go to a place, and on from there if it plays. What is heard goes on until there are samples, unless that takes long. */
  private async jump(place: number): Promise<void> {
    const to = entry(place, this.song);
    this.place = to;
    this.arrives = Infinity;
    if (this.on) await this.go(to);
  }

  private async go(to: number): Promise<void> {
    const turn = ++this.turn;
    const samples = this.loaded(to);
    const late = await Promise.race([samples.then(() => false), new Promise((done) => setTimeout(done, PATIENCE, true))]);
    if (late && turn === this.turn) {
      this.silence();
      this.place = to;
    }
    await samples;
    if (turn === this.turn && this.on && !this.closed) this.cut(to);
  }

  /** Wait until the samples at a place are here. */
  private async loaded(place: number): Promise<void> {
    const { window } = passage(entry(place, this.song), this.song);
    const names = new Set([...audible(this.strips), ...this.ready.keys()]);
    await Promise.all([...names].map(async (name) => (await this.opened(name)).load(window)));
  }

  private async opened(name: string): Promise<Windows> {
    const opening = this.stems.get(name) ?? this.openStem(name);
    this.stems.set(name, opening);
    return opening;
  }

  private async openStem(name: string): Promise<Windows> {
    try {
      const reader = await this.open(name, this.context);
      const windows = new Windows(reader, this.sampleRate, (span) => this.events.decoded(name, span));
      if (!this.closed) this.ready.set(name, windows);
      return windows;
    } catch (error) {
      this.stems.delete(name); // the next time tries again
      throw error;
    }
  }

  /** The first moment at which something else can be heard, without cutting into a fade that is on its way. */
  private soonest(): number {
    const fade = fadeAt(this.sampleRate);
    const latency = Math.max(this.path.latency, ...this.pieces.map((piece) => piece.latency));
    let moment = this.now + Math.round(AHEAD * this.sampleRate) + latency;
    for (const { fadesIn, fadedIn, latency } of this.pieces) {
      if (moment > fadesIn + latency && moment - fade < fadedIn + latency) moment = Math.ceil(fadedIn + latency + fade);
    }
    return moment;
  }

  /**
   * From a moment on, another place of the song (null: where it will be), another tempo, other stems. The one way in
   * which what is played changes; what stays the same goes through it unchanged.
   */
  private cut(to: number | null): void {
    const moment = this.soonest();
    const place = to ?? this.heardAt(moment);
    const jumps = to !== null;
    this.end(moment);
    this.place = place;
    this.arrives = jumps ? moment : 0;
    this.transpose(moment);
    this.next = { place: this.tempo === 1 ? Math.round(place) : place, at: moment };
    this.plan();
  }

  private end(moment: number): void {
    for (const piece of this.pieces) piece.endAt(moment - piece.latency);
    this.pieces = this.pieces.filter((piece) => piece.fadesIn + piece.latency < moment);
    this.next = null;
  }

  private silence(): void {
    if (!this.pieces.length) return;
    const moment = this.soonest();
    const place = this.heardAt(moment);
    this.end(moment);
    this.pieces = [];
    this.place = place;
    this.arrives = 0;
  }

  /** Plan pieces until there are enough for a while, as far as their samples are here. */
  private plan(): void {
    const now = this.now;
    this.pieces = this.pieces.filter((piece, index) => index === this.pieces.length - 1 || piece.end + piece.latency > now - this.sampleRate);
    while (this.next && this.next.at < now + LEAD * this.sampleRate + this.path.latency) {
      const part = passage(this.next.place, this.song);
      const spans = this.spansOf(part.window);
      if (!spans) return;
      const begin = Math.max(this.next.at - this.path.latency, now + Math.round(AHEAD * this.sampleRate));
      const piece = new Piece(this.context, this.path.graph, spans, { ...part, begin, tempo: this.tempo }, this.path.latency);
      this.pieces.push(piece);
      this.next = part.next === null ? null : { place: part.next, at: piece.end + piece.latency };
    }
    if (this.next) this.spansOf(passage(this.next.place, this.song).window); // for the next time
  }

  /** The samples of a window if all are here; if not, they are asked for. */
  private spansOf(window: number): ReadonlyMap<string, Span> | null {
    const spans = new Map<string, Span>();
    let missing = false;
    for (const [name, windows] of this.ready) {
      const span = windows.here(window);
      if (span) spans.set(name, span);
      else if (span === undefined) {
        missing = true;
        windows.load(window).catch((error: unknown) => this.fail(error));
      }
    }
    return missing ? null : spans;
  }

  private fail(error: unknown): void {
    if (!this.on) return;
    this.pause();
    this.events.failed(error);
  }

  private transpose(moment: number): void {
    void this.path.shifter?.shift(transpose(this.master), moment / this.sampleRate);
  }

  /** The pitch shifter stands in the way only while it has something to do: it costs time and a little sound. */
  private throughShifter(): Promise<Path> {
    this.shifted ??= this.makeShifted().catch((error: unknown) => {
      this.shifted = null; // the next change tries again
      throw error;
    });
    return this.shifted;
  }

  private async makeShifted(): Promise<Path> {
    const shifter = await Shifter.on(this.context);
    const graph = new Graph(this.context, Object.keys(this.strips));
    graph.apply(this.strips, false);
    graph.bus.connect(shifter.node).connect(this.out);
    return { graph, shifter, latency: Math.round(shifter.latency * this.sampleRate) };
  }
}
