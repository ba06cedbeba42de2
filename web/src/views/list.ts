/** The songs so far: on their way, being separated, done, and those whose files are gone. */

import { announce, h, icon, ICONS, say } from "../dom";
import { timeLeft, title } from "../format";
import type { Remembered } from "../kept";
import { serviceNow } from "../net/api";
import { final, type Job } from "../net/types";
import { inWords, sentence } from "../net/words";
import type { Sending, Songs } from "../songs";
import { question } from "./question";

/** One row. It is changed in place, so that focus and screen readers are not thrown out by every percent. */
interface Row {
  readonly element: HTMLElement;
  readonly name: HTMLElement;
  readonly about: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly state: HTMLElement;
  readonly actions: HTMLElement;
  shape: string; // which actions there are
}

export function list(songs: Songs): HTMLElement {
  const rows = new Map<string, Row>();
  const heading = h("h2", { id: "songs-title", tabindex: "-1" }, "Songs");
  const items = h("ul", { class: "songs" });
  const empty = h("p", { class: "quiet" }, "None yet. What you separate is listed here, also after a reload.");
  const notify = h("button", { type: "button", class: "plain notify", hidden: true, click: () => void Notification.requestPermission().then(() => (notify.hidden = true)) }, "Tell me when it is ready");
  const trouble = h("p", { class: "note bad", role: "alert", hidden: true });

  function row(id: string): Row {
    const found = rows.get(id) ?? makeRow();
    rows.set(id, found);
    return found;
  }

  songs.watch(() => {
    const now: [string, (row: Row) => void][] = [
      ...songs.uploads().map((each): [string, (row: Row) => void] => [each.id, (row) => showSending(row, each, songs)]),
      ...byDate(songs).map((each): [string, (row: Row) => void] => [
        each.job_id,
        (row) => ("status" in each ? showJob(row, each, songs, heading) : showGone(row, each, songs, heading)),
      ]),
    ];
    const wanted = now.map(([id, show]) => {
      const each = row(id);
      show(each);
      return each.element;
    });
    const ids = new Set(now.map(([id]) => id));
    for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
    arrange(items, wanted);
    empty.hidden = wanted.length > 0;
    notify.hidden = songs.underWay().count === 0 || !("Notification" in window) || Notification.permission !== "default";
    trouble.hidden = songs.trouble === null;
    say(trouble, songs.trouble ?? "");
  });
  return h("section", { "aria-labelledby": "songs-title" }, h("div", { class: "row songs-head" }, heading, notify), trouble, empty, items);
}

/** Songs that are here and songs that are gone, each at its date. */
function byDate(songs: Songs): (Job | Remembered)[] {
  const gone = songs.forgotten().sort((a, b) => b.created_at.localeCompare(a.created_at));
  const all: (Job | Remembered)[] = [];
  for (const job of songs.jobs()) {
    while (gone[0] && gone[0].created_at > job.created_at) all.push(...gone.splice(0, 1));
    all.push(job);
  }
  return [...all, ...gone];
}

/** Only what comes, goes or changes places is touched: a row that is taken out, were it for a moment, loses the focus. */
function arrange(items: HTMLElement, wanted: readonly HTMLElement[]): void {
  for (const each of [...items.children]) if (!wanted.includes(each as HTMLElement)) each.remove();
  wanted.forEach((each, index) => {
    if (items.children[index] !== each) items.insertBefore(each, items.children[index] ?? null);
  });
}

function makeRow(): Row {
  const name = h("h3", {});
  const about = h("p", { class: "quiet about" });
  const bar = h("progress", { max: 100 });
  const state = h("p", { class: "state" });
  const actions = h("div", { class: "row actions" });
  const element = h("li", { class: "card song" }, h("div", { class: "what" }, name, about), h("div", { class: "how" }, state, bar), actions);
  return { element, name, about, bar, state, actions, shape: "" };
}

function fill(row: Row, now: { name: string; about: string; percent: number | null; state: string; bad?: boolean; shape: string }, actions: () => HTMLElement[]): void {
  say(row.name, now.name);
  say(row.about, now.about);
  say(row.state, now.state);
  row.state.classList.toggle("bad", now.bad ?? false);
  row.bar.hidden = now.percent === null;
  if (now.percent !== null) row.bar.value = now.percent;
  row.bar.setAttribute("aria-label", `${now.shape === "sending" ? "Upload" : "Progress"} of ${now.name}`);
  if (row.shape === now.shape) return;
  row.shape = now.shape;
  const focused = row.actions.contains(document.activeElement);
  row.actions.replaceChildren(...actions());
  if (focused) (row.actions.firstElementChild as HTMLElement | null)?.focus();
}

function showSending(row: Row, each: Sending, songs: Songs): void {
  const failed = each.error !== null;
  fill(
    row,
    {
      name: shortName(each.filename),
      about: "",
      percent: failed ? null : each.fraction * 100,
      state: each.error ?? (each.fraction < 1 ? `Uploading, ${Math.floor(each.fraction * 100)} %` : "Uploaded; the service looks at it"),
      bad: failed,
      shape: failed ? "failed" : "sending",
    },
    () => {
      if (!failed) return [button("Stop", `Stop the upload of ${each.filename}`, () => songs.drop(each.id))];
      const dismiss = button("Dismiss", `Dismiss ${each.filename}`, () => songs.drop(each.id));
      return each.again ? [button("Try again", `Try again to upload ${each.filename}`, () => songs.retry(each.id)), dismiss] : [dismiss];
    },
  );
}

function showJob(row: Row, job: Job, songs: Songs, heading: HTMLElement): void {
  const name = shortName(job.filename ?? job.job_id);
  fill(
    row,
    {
      name,
      about: about(job),
      percent: final(job) ? null : job.status === "queued" ? 0 : job.progress,
      state: songs.wasThere(job.job_id) && job.status === "completed" ? `${stateOf(job)}: the same was separated before` : stateOf(job),
      bad: job.status === "failed",
      shape: job.status,
    },
    () => {
      if (!final(job)) return [button("Cancel", `Cancel ${name}`, () => attempt(row, songs.cancel(job.job_id)))];
      const remove = button("Remove", `Remove ${name} and its stems from the service`, () => {
        void question(`Remove ${name} and its stems from the service?`, "Remove").then((yes) => yes && removed(row, songs, job.job_id, heading));
      });
      const open = h("a", { class: "button primary", href: `#/song/${encodeURIComponent(job.job_id)}`, "aria-label": `Open mixer: ${name}` }, "Open mixer");
      return job.status === "completed" ? [open, remove] : [remove];
    },
  );
}

/** Remove it, and leave the focus on what is in its place. */
function removed(row: Row, songs: Songs, id: string, heading: HTMLElement): void {
  const next = (row.element.nextElementSibling ?? row.element.previousElementSibling)?.querySelector<HTMLElement>("a, button") ?? heading;
  attempt(row, songs.remove(id).then(() => next.focus()));
}

function showGone(row: Row, song: Remembered, songs: Songs, heading: HTMLElement): void {
  fill(
    row,
    { name: shortName(song.filename), about: when(song.created_at), percent: null, state: "Its files are not on the service any more. Send the song again for new stems.", shape: "gone" },
    () => [button("Forget", `Forget ${song.filename}`, () => removed(row, songs, song.job_id, heading))],
  );
}

function button(label: string, name: string, click: () => void): HTMLElement {
  return h("button", { type: "button", "aria-label": name, click }, label === "Dismiss" ? icon(ICONS.close) : null, label);
}

function attempt(row: Row, work: Promise<void>): void {
  work.catch((error: unknown) => {
    say(row.state, inWords(error));
    announce(inWords(error));
  });
}

/** The last part of a link's path, or the name of a file as it is. */
function shortName(name: string): string {
  if (!/^https?:\/\//.test(name)) return name;
  try {
    const url = new URL(name);
    return decodeURIComponent(url.pathname.split("/").filter(Boolean).pop() ?? url.host);
  } catch {
    return name;
  }
}

function about(job: Job): string {
  const kept = job.expires_at ? `kept until ${when(job.expires_at)}` : "";
  return [job.model && title(job.model), job.format, when(job.created_at), kept].filter(Boolean).join(" · ");
}

function when(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "";
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** What to say before the first part of the song is done, when nobody can tell how long it takes. */
function started(job: Job): string {
  if (job.progress > 0) return job.message || "separating";
  const since = Date.parse(job.started_at ?? "");
  const seconds = Math.floor((serviceNow() - since) / 1000);
  return `${job.message || "Beginning"}${seconds > 2 ? ` for ${seconds} s` : ""}`;
}

/** Where a job is, in a line. */
function stateOf(job: Job): string {
  if (job.status === "queued") {
    const ahead = (job.queue_position ?? 1) - 1;
    return ahead > 0 ? `Waiting, ${ahead} before it` : "Waiting for its turn";
  }
  if (job.status === "processing") {
    const end = Date.parse(job.estimated_completion ?? "");
    const left = Number.isNaN(end) ? started(job) : timeLeft((end - serviceNow()) / 1000);
    return `${Math.floor(job.progress)} % · ${left}`;
  }
  if (job.status === "failed") return sentence(job.error) ?? job.message ?? "It failed, and the service did not say why.";
  if (job.status === "canceled") return "Canceled";
  return `${job.stems?.length ?? 0} stems ready`;
}
