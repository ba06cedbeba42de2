/** The page: which view is shown, and what all views share. */

import { announce, say } from "./dom";
import { counted } from "./format";
import { askWith } from "./net/session";
import { final } from "./net/types";
import { Songs } from "./songs";
import { home } from "./views/home";
import { song } from "./views/song";
import { askForToken } from "./views/token";
import type { View } from "./views/view";

const main = document.getElementById("main") as HTMLElement;
const busy = document.getElementById("busy") as HTMLElement;
const songs = new Songs();
const startPage: View = home(songs);
let shown: View | null = null;

function route(): void {
  const id = /^#\/song\/([^/]+)$/.exec(location.hash)?.[1];
  if (location.hash === "#main" && shown) return; // the link that skips the header
  const first = shown === null;
  shown?.close();
  shown = id === undefined ? startPage : song(decodeURIComponent(id), songs);
  main.replaceChildren(shown.element);
  entitle();
  window.scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
}

/** The window's title: tabs, history and lock screens tell songs apart by it. */
function entitle(): void {
  const heading = shown?.heading ?? "Stemwright";
  const title = heading === "Stemwright" ? heading : `${heading} · Stemwright`;
  if (document.title !== title) document.title = title;
}

/** One line for all that is going on, so that it is seen from every view; and a word when something ends. */
function watch(): void {
  const before = new Map<string, string>();
  songs.watch(() => {
    entitle();
    const jobs = songs.jobs();
    const active = jobs.filter((job) => !final(job));
    const progress = active.length ? active.reduce((sum, job) => sum + job.progress, 0) / active.length : 0;
    const open = active.length + songs.uploads().filter((each) => each.error === null).length;
    say(busy, open ? `${counted(open, "song")} under way, ${Math.round(progress)} %` : "");
    for (const job of jobs) {
      const was = before.get(job.job_id);
      if (was !== undefined && was !== job.status && final(job)) {
        announce(`${job.filename ?? "The song"}: ${job.status === "completed" ? "its stems are ready" : job.status}.`);
      }
      before.set(job.job_id, job.status);
    }
  });
}

askWith(askForToken);
window.addEventListener("hashchange", route);
// A file that misses the drop zone must not make the browser leave the page.
for (const event of ["dragover", "drop"]) window.addEventListener(event, (dropped) => dropped.preventDefault());
route();
watch();
void songs.load();
document.documentElement.dataset["ready"] = String(Math.round(performance.now())); // ms from the start of loading to here, for tests
