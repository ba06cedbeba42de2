/** The songs on the page: those being sent, those the service has, and those it had. */

import * as kept from "./kept";
import * as api from "./net/api";
import { Live, type Event } from "./net/live";
import { final, settled, unlisted, type Job } from "./net/types";
import { inWords } from "./net/words";

/** A song that has not reached the service yet. */
export interface Sending {
  readonly id: string;
  readonly filename: string;
  readonly fraction: number; // sent, 0 to 1
  readonly error: string | null;
  readonly again: boolean; // whether it may go better another time
}

const AT_ONCE = 1; // uploads: songs are queued in the order in which they were chosen
const LOOK = 10_000; // ms between two looks at the list, which other tabs and devices change too
const CUT_OFF = "It was cut off when the page was left. Choose it again.";

export class Songs {
  private readonly sending = new Map<string, Sending>();
  private readonly stops = new Map<string, AbortController>();
  private readonly requests = new Map<string, api.UploadRequest>();
  private readonly places = new Map<string, { sent_at: string; place: number }>();
  private readonly waiting: (() => Promise<void>)[] = [];
  private readonly known = new Map<string, Job>();
  private readonly before = new Set<string>(); // jobs whose work was done already when they were sent
  private readonly round = new Set<string>(); // jobs since there was nothing to do last
  private readonly gone = new Map<string, kept.Remembered>();
  private readonly watchers = new Set<() => void>();
  private readonly live = new Live((event) => this.heard(event), (id) => this.refresh(id));
  private running = 0;
  private counter = 0;
  trouble: string | null = null; // why the list may be stale

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    watcher();
    return () => this.watchers.delete(watcher);
  }

  uploads(): Sending[] {
    return [...this.sending.values()];
  }

  /** Newest first; what was sent in one go stands as it was chosen. */
  jobs(): Job[] {
    const sent = new Map(kept.songs().map((song) => [song.job_id, song]));
    const key = (job: Job) => sent.get(job.job_id)?.sent_at ?? job.created_at;
    const place = (job: Job) => sent.get(job.job_id)?.place ?? 0;
    return [...this.known.values()].sort(
      (a, b) => key(b).localeCompare(key(a)) || place(a) - place(b) || b.created_at.localeCompare(a.created_at),
    );
  }

  /** Whether the same file had been separated so before: its stems were there at once. */
  wasThere(id: string): boolean {
    return this.before.has(id);
  }

  /** How much is under way, and how far all of it is, 0 to 100. What is done counts until all is: nothing goes backwards. */
  underWay(): { count: number; percent: number } {
    const jobs = [...this.round].flatMap((id) => this.known.get(id) ?? []);
    const uploads = this.uploads().filter((each) => each.error === null);
    const open = jobs.filter((job) => !final(job)).length + uploads.length;
    const done = jobs.reduce((sum, job) => sum + (final(job) ? 100 : job.progress), 0);
    return { count: open, percent: open ? done / (jobs.length + uploads.length) : 100 };
  }

  /** Whether something would be lost if the page were left now. */
  isSending(): boolean {
    return this.uploads().some((each) => each.error === null);
  }

  /** Look at the list again and again, and when the page comes to the front or another tab has changed it. */
  stayFresh(): void {
    const look = () => !document.hidden && void this.load();
    setInterval(look, LOOK);
    document.addEventListener("visibilitychange", look);
    kept.watchSongs(look);
  }

  /** Say of what was being sent when the page was left that it is not here. */
  tellCutOff(): void {
    for (const filename of kept.cutOff()) {
      const id = `sending-${++this.counter}`;
      this.sending.set(id, { id, filename, fraction: 0, error: CUT_OFF, again: false });
    }
    this.changed();
  }

  forgotten(): kept.Remembered[] {
    return [...this.gone.values()];
  }

  job(id: string): Job | undefined {
    return this.known.get(id);
  }

  /** Read the history: what the service lists, and what this browser sent and the service does not list. */
  async load(): Promise<void> {
    try {
      const listed = await api.jobs();
      for (const job of listed) {
        const known = this.known.get(job.job_id);
        this.take(known ? settled(job, known, this.known.get(job.job_id)) : job);
      }
      const ours = new Map(kept.songs().map((song) => [song.job_id, song]));
      const unheard = [...ours.keys()].filter((id) => !this.known.has(id) && !this.gone.has(id));
      const asked = new Set([...unheard, ...unlisted([...this.known.values()], listed)]);
      for (const { job_id } of listed) asked.delete(job_id);
      await Promise.all([...asked].map((id) => this.refresh(id, ours.get(id))));
      for (const id of this.gone.keys()) if (!ours.has(id)) this.gone.delete(id); // forgotten in another tab
      this.trouble = null;
    } catch (error) {
      this.trouble = inWords(error);
    }
    this.changed();
  }

  /** Fetch one job whole. False when it need not be followed any more. */
  async refresh(id: string, remembered?: kept.Remembered): Promise<boolean> {
    try {
      const asked = this.known.get(id);
      const answer = await api.job(id);
      const job = settled(answer, asked, this.known.get(id));
      this.trouble = null;
      this.take(job);
      return !final(job);
    } catch (error) {
      const status = error instanceof api.ApiError ? error.status : -1;
      if (status !== 404 && status !== 410) {
        this.trouble = inWords(error);
        this.changed();
        return true;
      }
      const song = remembered ?? kept.songs().find((each) => each.job_id === id);
      this.known.delete(id);
      if (song) this.gone.set(id, song);
      this.changed();
      return false;
    }
  }

  /** Send files or links, two at a time. */
  send(sources: readonly (File | string)[], options: api.SeparationOptions): void {
    const sent_at = new Date().toISOString();
    for (const [place, source] of sources.entries()) {
      const id = `sending-${++this.counter}`;
      const filename = typeof source === "string" ? source : source.name;
      this.sending.set(id, { id, filename, fraction: 0, error: null, again: false });
      this.requests.set(id, api.uploadRequest(source, options));
      this.places.set(id, { sent_at, place });
      this.post(id);
    }
    this.next();
    this.changed();
  }

  /** Send once more what did not get through. */
  retry(id: string): void {
    this.sent(id, { fraction: 0, error: null });
    this.post(id);
    this.next();
  }

  /** Stop an upload, or take a failed one off the list. */
  drop(id: string): void {
    this.stops.get(id)?.abort();
    this.settle(id);
    this.changed();
  }

  async cancel(id: string): Promise<void> {
    await api.cancel(id);
    await this.refresh(id);
  }

  async remove(id: string): Promise<void> {
    if (this.known.has(id)) await api.remove(id);
    this.live.forget(id);
    this.known.delete(id);
    this.gone.delete(id);
    kept.forget(id);
    this.changed();
  }

  private post(id: string): void {
    const stop = new AbortController();
    this.stops.set(id, stop);
    this.waiting.push(() => this.sendOne(id, stop.signal));
  }

  private settle(id: string): void {
    this.stops.delete(id);
    this.requests.delete(id);
    this.places.delete(id);
    this.sending.delete(id);
  }

  private next(): void {
    while (this.running < AT_ONCE && this.waiting.length) {
      const task = this.waiting.shift();
      this.running++;
      void task?.().finally(() => {
        this.running--;
        this.next();
      });
    }
  }

  private async sendOne(id: string, signal: AbortSignal): Promise<void> {
    const request = this.requests.get(id);
    if (signal.aborted || !request) return;
    try {
      const job = await api.upload(request, (fraction) => this.sent(id, { fraction }), signal);
      const { filename } = this.sending.get(id) ?? { filename: "" };
      kept.remember({ job_id: job.job_id, filename, created_at: job.created_at, ...this.places.get(id) });
      if (job.status === "completed") this.before.add(job.job_id);
      this.settle(id);
      this.round.add(job.job_id);
      this.take({ ...job, filename: job.filename ?? filename, progress: job.progress ?? 0 });
      await this.refresh(job.job_id);
    } catch (error) {
      if (!signal.aborted) this.sent(id, { error: inWords(error), again: api.passing(error) });
    }
  }

  private sent(id: string, news: Partial<Sending>): void {
    const sending = this.sending.get(id);
    if (sending) this.sending.set(id, { ...sending, ...news });
    this.changed();
  }

  private take(job: Job): void {
    this.known.set(job.job_id, job);
    this.gone.delete(job.job_id);
    if (!final(job)) {
      this.round.add(job.job_id);
      this.live.follow(job.job_id);
    }
    this.changed();
  }

  private heard(event: Event): void {
    const job = this.known.get(event.job_id);
    if (!job || final(job)) return;
    if (event.status !== job.status) void this.refresh(event.job_id); // an event has less to say than the job
    else if (event.progress >= job.progress) this.take({ ...job, progress: event.progress, message: event.message ?? null });
  }

  private changed(): void {
    kept.sending(this.uploads().filter((each) => each.error === null).map((each) => each.filename));
    if (this.underWay().count === 0) this.round.clear();
    this.watchers.forEach((watcher) => watcher());
  }
}
