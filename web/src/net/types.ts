/** What the service says, as `/api` words it. */

export const MOST_LISTED = 50; // jobs that are asked for at once

export type State = "queued" | "processing" | "completed" | "failed" | "canceled";

export interface Stem {
  readonly name: string;
  readonly url: string;
  readonly size: number; // bytes
  readonly duration: number; // seconds
  readonly sha256: string;
  readonly peaks_url: string | null;
}

export interface Job {
  readonly job_id: string;
  readonly status: State;
  readonly progress: number; // 0 to 100
  readonly message?: string | null;
  readonly created_at: string;
  readonly started_at?: string | null;
  readonly estimated_completion?: string | null;
  readonly expires_at?: string | null;
  readonly queue_position?: number | null;
  readonly filename?: string | null;
  readonly model?: string | null;
  readonly format?: string | null;
  readonly stems?: readonly Stem[] | null;
  readonly error?: unknown;
}

export interface Model {
  readonly name: string;
  readonly title?: string | null;
  readonly stems: readonly string[];
  readonly licence?: string | null;
  readonly default?: boolean;
  readonly formats?: readonly string[] | null;
  readonly options?: readonly string[] | null; // which of shifts, overlap, stems, two_stems it takes; none said: all
}

export interface Offer {
  readonly models: readonly Model[];
  readonly max_file_size?: number | null; // bytes
  readonly links?: boolean; // whether a link is taken in place of a file
}

/** Whether a job will not change any more. */
export function final(job: Job): boolean {
  return job.status === "completed" || job.status === "failed" || job.status === "canceled";
}

/**
 * What is so of a job, given the answer to a question about it. Events overtake answers: where the answer is behind
 * what was heard since the question (`asked`: as it was known then, `now`: as it is known), it does not count.
 */
export function settled(answer: Job, asked: Job | undefined, now: Job | undefined): Job {
  if (!now || now === asked) return answer;
  if (final(now)) return now;
  const behind = answer.status === now.status && answer.progress < now.progress;
  return behind ? { ...answer, progress: now.progress, message: now.message ?? null } : answer;
}

/**
 * Jobs that have to be asked about one by one, given the newest ones as they were listed: those that go on, and those
 * that belong into the list and are not there, so that they were removed. Older ones than the list reaches back to are
 * as they were: to ask for each of them at every look would be most of the page's traffic.
 */
export function unlisted(known: readonly Job[], listed: readonly Job[], most = MOST_LISTED): string[] {
  const there = new Set(listed.map((job) => job.job_id));
  const oldest = listed.length < most ? "" : listed.reduce((least, job) => (job.created_at < least ? job.created_at : least), "~");
  return known.filter((job) => !there.has(job.job_id) && (!final(job) || job.created_at >= oldest)).map((job) => job.job_id);
}
