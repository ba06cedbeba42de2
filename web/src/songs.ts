/** The songs on the page: those being sent, those the service has, and those it had. */

import * as kept from "./kept";
import * as api from "./net/api";
import { Live, type Event } from "./net/live";
import { final, settled, type Job } from "./net/types";
import { inWords } from "./net/words";

/** A song that has not reached the service yet. */
export interface Sending {
  readonly id: string;
  readonly filename: string;
  readonly fraction: number; // sent, 0 to 1
  readonly error: string | null;
  readonly again: boolean; // whether it may go better another time
}

const AT_ONCE = 2; // uploads

export class Songs {
  private readonly sending = new Map<string, Sending>();
  private readonly stops = new Map<string, AbortController>();
  private readonly requests = new Map<string, api.UploadRequest>();
  private readonly waiting: (() => Promise<void>)[] = [];
  private readonly known = new Map<string, Job>();
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

  jobs(): Job[] {
    return [...this.known.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
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
      for (const job of await api.jobs()) this.take(job);
      const missing = kept.songs().filter((song) => !this.known.has(song.job_id));
      await Promise.all(missing.map((song) => this.refresh(song.job_id, song)));
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
    for (const source of sources) {
      const id = `sending-${++this.counter}`;
      const filename = typeof source === "string" ? source : source.name;
      this.sending.set(id, { id, filename, fraction: 0, error: null, again: false });
      this.requests.set(id, api.uploadRequest(source, options));
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
      kept.remember({ job_id: job.job_id, filename, created_at: job.created_at });
      this.settle(id);
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
    if (!final(job)) this.live.follow(job.job_id);
    this.changed();
  }

  private heard(event: Event): void {
    const job = this.known.get(event.job_id);
    if (!job || final(job)) return;
    if (event.status !== job.status) void this.refresh(event.job_id); // an event has less to say than the job
    else if (event.progress >= job.progress) this.take({ ...job, progress: event.progress, message: event.message ?? null });
  }

  private changed(): void {
    this.watchers.forEach((watcher) => watcher());
  }
}
