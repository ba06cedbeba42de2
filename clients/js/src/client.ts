import { again, Connection, pause, type ConnectionOptions } from "./connection.js";
import { StemwrightError } from "./errors.js";
import { eventsIn } from "./events.js";
import type { components } from "./openapi.js";
import { put } from "./put.js";

type Schemas = components["schemas"];
export type Job = Schemas["JobView"];
export type Output = Schemas["OutputView"];
export type Status = Schemas["StatusResponse"];
export type Model = Schemas["ModelView"];
export type Health = Schemas["HealthResponse"];
export type ProcessRequest = Partial<Schemas["ProcessRequest"]> & Pick<Schemas["ProcessRequest"], "model">;

/** An announced upload. Keep it to take the upload up again, in another session as well. */
export interface Announced {
  readonly fileId: string;
  readonly uploadUrl: string;
  readonly expiresAt: string;
}

export interface UploadOptions {
  readonly filename?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (sent: number, total: number) => void;
  /** Called before the first byte is sent. */
  readonly onAnnounced?: (announced: Announced) => void;
  /** Take this upload up again. From its first byte: a signed URL takes a file whole. */
  readonly resume?: Announced;
  /** Find a song that is here before it is sent, by its SHA-256; at first: for files up to 256 MiB. */
  readonly findDuplicate?: boolean;
}

/** Where a file is. */
export interface Uploaded {
  readonly fileId: string;
  /** Whether the very same file was there before: go on with it. */
  readonly existed: boolean;
}

/** A job that was asked for. */
export interface Submitted {
  readonly jobId: string;
  readonly status: Job["status"];
  /** Whether the work was done before: the job is the one that did it. */
  readonly skipped: boolean;
}

export interface WaitOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (job: Job) => void;
}

/** What happened to a job. */
export interface JobEvent {
  readonly type: "progress" | "completed" | "failed" | "canceled";
  readonly job: Job;
}

const HASHED = 256 * 1024 * 1024; // bytes that are read at once to know their hash
const ENDED = ["completed", "failed", "canceled"];

/** A Stemwright service, by its orchestrator's API. Every method rejects with a StemwrightError, or as its signal says. */
export class Stemwright {
  private readonly connection: Connection;
  private readonly tries: number;

  constructor(options: ConnectionOptions) {
    this.connection = new Connection(options);
    this.tries = options.tries ?? 4;
  }

  /** Send a file. A song that is there already is found, and not an error. */
  async upload(data: Blob | Uint8Array<ArrayBuffer>, options: UploadOptions = {}): Promise<Uploaded> {
    const blob = data instanceof Blob ? data : new Blob([data]);
    const { signal } = options;
    const announced = options.resume ?? (await this.announced(blob, options));
    if ("existed" in announced) return announced;
    options.onAnnounced?.(announced);
    const onProgress = options.onProgress;
    try {
      await again(this.tries, true, signal, () =>
        put({
          url: announced.uploadUrl,
          data: blob,
          signal,
          send: this.connection.plain,
          onProgress: onProgress && ((sent) => onProgress(Math.min(sent, blob.size), blob.size)),
        }),
      );
    } catch (error) {
      const there = existing(error);
      if (there !== null) return there;
      throw error;
    }
    return { fileId: announced.fileId, existed: false };
  }

  private async announced(data: Blob, options: UploadOptions): Promise<Announced | Uploaded> {
    const filename = options.filename ?? (data as Partial<File>).name ?? "song";
    const body: Record<string, unknown> = { filename, size: data.size };
    if (options.findDuplicate ?? data.size <= HASHED) body["sha256"] = await sha256(data);
    try {
      const call = { method: "POST", body, signal: options.signal, repeatable: true } as const;
      const said = await this.connection.json<Schemas["UploadResponse"]>("/upload", call);
      return { fileId: said.file_id, uploadUrl: said.upload_url, expiresAt: said.expires_at };
    } catch (error) {
      const there = existing(error);
      if (there !== null) return there;
      throw error;
    }
  }

  /** Ask for work. Sent again after a fault, it is one job: it carries a key of its own, unless one is given. */
  async process(request: ProcessRequest, options: { key?: string; signal?: AbortSignal } = {}): Promise<Submitted> {
    const headers = { "Idempotency-Key": options.key ?? crypto.randomUUID() };
    const call = { method: "POST", body: request, headers, signal: options.signal, repeatable: true } as const;
    const said = await this.connection.json<Schemas["ProcessResponse"]>("/process", call);
    return { jobId: said.job_id, status: said.status, skipped: said.skipped ?? false };
  }

  /** A file and its newest jobs; older ones by `before`, the `next` of the answer. */
  status(fileId: string, options: { before?: string; limit?: number; signal?: AbortSignal } = {}): Promise<Status> {
    const query = new URLSearchParams();
    if (options.before !== undefined) query.set("before", options.before);
    if (options.limit !== undefined) query.set("limit", String(options.limit));
    const asked = query.size ? `?${query}` : "";
    return this.connection.json(`/status/${encodeURIComponent(fileId)}${asked}`, { signal: options.signal });
  }

  job(jobId: string, options: { signal?: AbortSignal } = {}): Promise<Job> {
    return this.connection.json(`/jobs/${encodeURIComponent(jobId)}`, { signal: options.signal });
  }

  /** Call a job off. Again, it changes nothing. */
  async cancel(jobId: string, options: { signal?: AbortSignal } = {}): Promise<Job["status"]> {
    const call = { method: "POST", signal: options.signal, repeatable: true } as const;
    const path = `/jobs/${encodeURIComponent(jobId)}/cancel`;
    return (await this.connection.json<Schemas["CancelResponse"]>(path, call)).status;
  }

  async models(options: { signal?: AbortSignal } = {}): Promise<readonly Model[]> {
    return (await this.connection.json<Schemas["ModelsResponse"]>("/models", { signal: options.signal })).models;
  }

  health(options: { signal?: AbortSignal } = {}): Promise<Health> {
    return this.connection.json("/health", { signal: options.signal });
  }

  /** Fetch an output. The URL is signed and expires; a job that is asked for anew has fresh ones. */
  async download(output: Output, options: { signal?: AbortSignal } = {}): Promise<Blob> {
    return again(this.tries, true, options.signal, async () => {
      const init: RequestInit = options.signal === undefined ? {} : { signal: options.signal };
      const answer = await this.connection.plain(output.url, init).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        throw new StemwrightError(`There was no answer: ${String(error)}.`, 0, "no_answer");
      });
      if (!answer.ok) throw new StemwrightError(`The store answered ${answer.status}.`, answer.status, "not_downloaded");
      return answer.blob();
    });
  }

  /**
   * What happens to the jobs of a file, beginning with how each of them is. It goes on until `signal` ends it or you
   * leave the loop: a connection that breaks is made again, and nothing comes twice.
   */
  async *events(fileId: string, options: { signal?: AbortSignal } = {}): AsyncGenerator<JobEvent, void, void> {
    let last = ""; // the id of the last event: what the service has told already
    for (let broken = 0; ; ) {
      const ours = new AbortController();
      const signal = options.signal === undefined ? ours.signal : AbortSignal.any([options.signal, ours.signal]);
      try {
        const told = last && `?${new URLSearchParams({ last_event_id: last })}`;
        const answer = await this.connection.call(`/events/${encodeURIComponent(fileId)}${told}`, { signal, headers: { Accept: "text/event-stream" } });
        for await (const { event, id, data } of eventsIn(answer.body as ReadableStream<Uint8Array>)) {
          broken = 0;
          last = id;
          yield { type: event as JobEvent["type"], job: JSON.parse(data) as Job };
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof StemwrightError && !error.passing) throw error;
      } finally {
        ours.abort();
      }
      await pause(Math.min(10_000, 250 * 2 ** Math.min(broken++, 6)), options.signal);
    }
  }

  /** A job once it has ended, whatever its end is. */
  async wait(fileId: string, jobId: string, options: WaitOptions = {}): Promise<Job> {
    for await (const { job } of this.events(fileId, options)) {
      if (job.job_id !== jobId) continue;
      options.onProgress?.(job);
      if (ENDED.includes(job.status)) return job;
    }
    throw new StemwrightError("The events ended before the job did.", 0, "no_answer");
  }
}

/** The file that a refused duplicate stands for; null: that was not it. */
function existing(error: unknown): Uploaded | null {
  if (!(error instanceof StemwrightError) || error.status !== 409) return null;
  const fileId = error.body["file_id"];
  return typeof fileId === "string" ? { fileId, existed: true } : null;
}

async function sha256(data: Blob): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await data.arrayBuffer()));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
