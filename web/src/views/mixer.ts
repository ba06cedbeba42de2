/** The mixer of one song: wires what is seen to what is heard. */

import { audible, PLAIN, type Master, type Strip } from "../audio/mix";
import { Player } from "../audio/player";
import { region as makeRegion, type Region } from "../audio/region";
import { render } from "../audio/render";
import { open } from "../audio/stems";
import { announce, h, save, say } from "../dom";
import { bytes, title } from "../format";
import * as kept from "../kept";
import type { Job, Stem } from "../net/types";
import { inWords } from "../net/words";
import { download, downloads, stemOf, type Downloads } from "./downloads";
import { followPointer } from "./lanes";
import { Outlines } from "./outlines";
import { restored, type Mix } from "./remembered";
import { shortcuts } from "./shortcuts";
import { strip, type StripView } from "./strip";
import { transport } from "./transport";
import type { View } from "./view";

const RATE = 44_100; // Hz, where the service does not say

/** `fresh` fetches the stems anew: the URLs that came with the job do not hold for ever. */
export function mixer(job: Job, stems: readonly Stem[], fresh: () => Promise<readonly Stem[]>): Mixer {
  return new Mixer(job, stems, fresh);
}

export class Mixer implements View {
  readonly element: HTMLElement;
  readonly heading: string;
  private readonly duration: number;
  private mix: Mix;
  private readonly unwatch: () => void;
  private readonly views = new Map<string, StripView>();
  private readonly outlines: Outlines;
  private readonly transport;
  private readonly downloads: Downloads;
  private readonly keys;
  private readonly lanes = h("div", { class: "strips" });
  private readonly problem = h("p", { class: "note bad", role: "alert", hidden: true });
  private player: Player | null = null;
  private rate = RATE;
  private from = 0; // where to begin, before there is a player
  private busy = false;
  private frame = 0;

  constructor(
    private readonly job: Job,
    private readonly stems: readonly Stem[],
    private readonly fresh: () => Promise<readonly Stem[]>,
  ) {
    this.heading = job.filename ?? "Mixer";
    this.duration = Math.max(...stems.map((stem) => stem.duration || 0), 0.1);
    this.outlines = new Outlines(this.views, this.duration);
    this.mix = restored(job.job_id, stems);
    this.transport = transport(this.duration, this.mix.master, {
      toggle: () => this.toggle(),
      seek: (to) => this.seek(to),
      loop: (on) => this.setLoop(on, this.region),
      from: (at) => this.loopFrom(at),
      to: (at) => this.loopTo(at),
      fromHere: () => this.loopFrom(this.position),
      toHere: () => this.loopTo(this.position),
      master: (news) => this.setMaster(news),
    });
    this.keys = shortcuts({
      toggle: () => this.toggle(),
      move: (seconds) => this.seek(this.position + seconds),
      start: () => this.seek(0),
      loop: () => this.setLoop(!this.mix.looping, this.region),
      fromHere: () => this.loopFrom(this.position),
      toHere: () => this.loopTo(this.position),
      mute: (stem) => this.press(stem, "muted"),
      solo: (stem) => this.press(stem, "soloed"),
    });
    for (const [index, stem] of stems.entries()) this.addStrip(stem, index);
    this.downloads = downloads(job, stems, (told) => this.exportMix(told));
    this.element = h("div", {}, this.transport.element, this.problem, this.lanes, this.downloads.element, this.keys.element);
    this.showMix();
    this.unwatch = kept.watchMix(job.job_id, () => this.take(restored(job.job_id, stems)));
    void this.outlines.fetch(stems).then((rate) => {
      if (rate && !this.player) this.rate = rate;
    });
    this.tick();
  }

  /** Take in what is new of the song: how long it stays. */
  update(job: Job): void {
    this.downloads.update(job);
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    this.keys.close();
    this.unwatch();
    this.views.forEach((view) => view.wave.close());
    void this.player?.close();
  }

  private get position(): number {
    return this.player?.position ?? this.from;
  }

  private get region(): Region {
    return this.mix.region ?? { start: 0, end: this.duration };
  }

  private addStrip(stem: Stem, index: number): void {
    const view = strip(
      stem,
      index,
      this.mix.strips[stem.name] ?? PLAIN,
      (news) => this.setStrip(stem.name, news),
      () => void this.downloadStem(stem.name).catch((error: unknown) => this.complain(error)),
    );
    followPointer(view.lane, this.duration, {
      seek: (to) => this.seek(to),
      drag: (drawn) => this.showRegion(drawn, true),
      dragged: (drawn) => this.setLoop(true, drawn),
      undragged: () => this.showRegion(this.region, this.mix.looping),
    });
    this.views.set(stem.name, view);
    this.lanes.append(view.element);
  }

  /** The player, made at the first press: browsers allow sound only after one. */
  private ready(): Player {
    if (this.player) return this.player;
    this.player = new Player(
      this.mix.strips,
      this.duration,
      this.rate,
      async (name, context) => {
        this.views.get(name)?.note("loading…");
        try {
          return await open(() => this.freshStem(name), context);
        } finally {
          this.views.get(name)?.note("");
        }
      },
      { decoded: (name, span) => this.outlines.decoded(name, span), failed: (error) => this.complain(error) },
    );
    void this.player.setMaster(this.mix.master).catch((error: unknown) => this.complain(error));
    this.player.setLoop(this.mix.looping ? this.region : null);
    this.player.seek(this.from);
    return this.player;
  }

  private toggle(): void {
    const player = this.ready();
    this.problem.hidden = true;
    if (player.playing) {
      player.pause();
      this.busy = false;
      return;
    }
    this.busy = true;
    player
      .play()
      .catch((error: unknown) => {
        player.pause();
        this.complain(error);
      })
      .finally(() => (this.busy = false));
  }

  private seek(to: number): void {
    const inside = Math.min(Math.max(to, 0), this.duration);
    if (this.player) this.player.seek(inside);
    else this.from = inside;
  }

  private setStrip(name: string, news: Partial<Strip>): void {
    this.mix.strips = { ...this.mix.strips, [name]: { ...(this.mix.strips[name] ?? PLAIN), ...news } };
    this.player?.setStrips(this.mix.strips).catch((error: unknown) => this.complain(error));
    this.showMix();
    this.keep();
  }

  private press(which: string | number, what: "muted" | "soloed"): void {
    const name = typeof which === "string" ? which : this.stems[which]?.name;
    const now = name === undefined ? undefined : this.mix.strips[name];
    if (name === undefined || !now) return;
    this.setStrip(name, { [what]: !now[what] });
    announce(`${title(name)} ${now[what] ? "not " : ""}${what}`);
  }

  /** As another tab has it now: a song has one mix, or the tab that is touched last would undo what the other did. */
  private take(mix: Mix): void {
    this.mix = mix;
    this.player?.setStrips(mix.strips).catch((error: unknown) => this.complain(error));
    this.player?.setMaster(mix.master).catch((error: unknown) => this.complain(error));
    this.player?.setLoop(mix.looping ? this.region : null);
    this.transport.master(mix.master);
    this.showMix();
  }

  private setMaster(news: Partial<Master>): void {
    this.mix.master = { ...this.mix.master, ...news };
    this.player?.setMaster(this.mix.master).catch((error: unknown) => this.complain(error));
    this.keep();
  }

  private setLoop(on: boolean, region: Region): void {
    this.mix.looping = on;
    this.mix.region = region;
    this.player?.setLoop(on ? region : null);
    this.showRegion(region, on);
    this.keep();
  }

  /** Each end stays where it is while the other moves; one that would be on the wrong side goes to the song's. */
  private loopFrom(at: number): void {
    const end = this.region.end;
    this.setLoop(true, makeRegion(at, end > at ? end : this.duration, this.duration) ?? this.region);
  }

  private loopTo(at: number): void {
    const start = this.region.start;
    this.setLoop(true, makeRegion(start < at ? start : 0, at, this.duration) ?? this.region);
  }

  private showMix(): void {
    const heard = new Set(audible(this.mix.strips));
    for (const [name, view] of this.views) view.show(this.mix.strips[name] ?? PLAIN, heard.has(name));
    this.showRegion(this.region, this.mix.looping);
  }

  private showRegion(region: Region, on: boolean): void {
    this.transport.loop(on, region);
    this.lanes.classList.toggle("looping", on);
    this.lanes.style.setProperty("--loop-start", String(region.start / this.duration));
    this.lanes.style.setProperty("--loop-end", String(region.end / this.duration));
  }

  private tick(): void {
    const player = this.player;
    if (player?.playing && !this.mix.looping && player.position >= this.duration) {
      player.pause();
      player.seek(0);
    }
    this.transport.tick(this.position, player?.playing ? player.level : 0);
    this.transport.playing(player?.playing ?? false, this.busy);
    this.lanes.style.setProperty("--at", String(this.position / this.duration));
    this.frame = requestAnimationFrame(() => this.tick());
  }

  private async freshStem(name: string): Promise<Stem> {
    const stem = (await this.fresh()).find((each) => each.name === name);
    if (!stem) throw new Error("The stems are not on the service any more: files are removed after a while.");
    return stem;
  }

  private async downloadStem(name: string): Promise<void> {
    await download((await this.freshStem(name)).url, `${stemOf(this.job)} ${name}.${this.job.format ?? "wav"}`);
  }

  /** The mix as it sounds now, or the loop if there is one, as a file. */
  private async exportMix(tell: (text: string) => void): Promise<string> {
    const { stems, strips, master } = await this.ready().everything();
    if (stems.size === 0) throw new Error("Every stem is muted: there is nothing to export.");
    const passage = this.mix.looping ? this.region : { start: 0, end: this.duration };
    const { file, turnedDown } = await render(stems, strips, master, passage, this.rate, (fraction) =>
      tell(`Computing the mix, ${Math.round(fraction * 100)} %`),
    );
    save(file, `${stemOf(this.job)} ${this.mix.looping ? "loop" : "mix"}.wav`);
    const quieter = turnedDown > 0 ? ` It was over full scale, so all of it was turned down by ${turnedDown.toFixed(1)} dB.` : "";
    return `The ${this.mix.looping ? "loop" : "mix"} is saved (${bytes(file.size)}).${quieter}`;
  }

  private complain(error: unknown): void {
    this.problem.hidden = false;
    say(this.problem, inWords(error));
  }

  private keep(): void {
    kept.keepMix(this.job.job_id, this.mix);
  }
}
