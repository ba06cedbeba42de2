/** Calls to the service. Every failure is an ApiError whose message a person can act on. */

import { MOST_LISTED, type Job, type Offer } from "./types";
import { headersFor, renew, token } from "./session";
import { forStatus, sentence } from "./words";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number, // 0: no answer at all
  ) {
    super(message);
  }
}

let ahead = 0; // ms that the service's clock is ahead of ours

/** The time as the service has it, ms. */
export function serviceNow(): number {
  return Date.now() + ahead;
}

export async function call(url: string, init: RequestInit = {}): Promise<Response> {
  const used = token();
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers: { ...init.headers, ...headersFor(url) } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(forStatus(0), 0);
  }
  if (response.status === 401 && (await renew(used))) return call(url, init);
  if (!response.ok) throw new ApiError(await wordsOf(response), response.status);
  return response;
}

async function wordsOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null);
  return sentence(body) ?? forStatus(response.status);
}

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await call(url, init);
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) ahead = date - Date.now();
  return (await response.json()) as T;
}

const at = (path: string, id: string) => `/api/${path}/${encodeURIComponent(id)}`;

export const offer = () => json<Offer>("/api/models");
export const jobs = async () => (await json<{ jobs: Job[] }>(`/api/jobs?limit=${MOST_LISTED}`)).jobs;
export const job = (id: string) => json<Job>(at("status", id));
export const cancel = (id: string) => call(at("cancel", id), { method: "POST" });
export const remove = (id: string) => call(at("jobs", id), { method: "DELETE" });

/** Where a zip of these stems is; all of them if none is named. */
export function zipUrl(id: string, stems: readonly string[] = []): string {
  return `${at("download", id)}?name=song${stems.length ? `&stems=${stems.map(encodeURIComponent).join(",")}` : ""}`;
}

/** What a person chose for a separation. */
export interface SeparationOptions {
  readonly model: string;
  readonly format: string;
  readonly stems: string; // "all", a stem, or "two:" and a stem
  readonly shifts: string; // empty: the model's own
  readonly overlap: string;
}

/** The form of an upload. */
export function form(source: File | string, options: SeparationOptions): FormData {
  const fields = new FormData();
  if (options.model) fields.set("model", options.model);
  if (options.format) fields.set("format", options.format);
  if (options.stems.startsWith("two:")) fields.set("two_stems", options.stems.slice("two:".length));
  else if (options.stems !== "all") fields.set("stems", options.stems);
  if (options.shifts !== "") fields.set("shifts", options.shifts);
  if (options.overlap !== "") fields.set("overlap", options.overlap);
  if (typeof source === "string") fields.set("source_url", source);
  else fields.set("audio_file", source, source.name); // last: what is wrong with the rest is known before the long part
  return fields;
}

/** An upload as it is sent, and sent again. The key tells the service that it is the same when it comes again: there will be one job, not two. */
export interface UploadRequest {
  readonly fields: FormData;
  readonly key: string;
}

export function uploadRequest(source: File | string, options: SeparationOptions): UploadRequest {
  const random = crypto.getRandomValues(new Uint32Array(4)); // randomUUID is for https and loopback only
  return { fields: form(source, options), key: [...random].map((each) => each.toString(16)).join("-") };
}

/** Whether the same request may be answered otherwise another time: nothing was wrong with what was sent. */
export function passing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || [401, 403, 408, 429].includes(error.status) || error.status >= 500);
}

/** An upload on its way. `fetch` cannot tell how much has gone, so this is an XMLHttpRequest. */
export function upload(sent: UploadRequest, onProgress: (fraction: number) => void, signal: AbortSignal): Promise<Job> {
  const used = token();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/upload");
    for (const [name, value] of Object.entries(headersFor("/api/upload"))) request.setRequestHeader(name, value);
    request.setRequestHeader("Idempotency-Key", sent.key);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(forStatus(0), 0));
    request.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText) as Job);
      else if (request.status === 401) resolve(again(used, sent, onProgress, signal));
      else reject(new ApiError(wordsIn(request), request.status));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(sent.fields);
  });
}

async function again(used: string | null, ...rest: Parameters<typeof upload>): Promise<Job> {
  if (await renew(used)) return upload(...rest);
  throw new ApiError(forStatus(401), 401);
}

function wordsIn(request: XMLHttpRequest): string {
  try {
    return sentence(JSON.parse(request.responseText)) ?? forStatus(request.status);
  } catch {
    return forStatus(request.status);
  }
}
