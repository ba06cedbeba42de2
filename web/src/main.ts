/** The page: which view is shown, and what all views share. */

import { announce, say } from "./dom";
import { counted } from "./format";
import { askWith } from "./net/session";
import { final } from "./net/types";
import { Songs } from "./songs";
import { takeDrops } from "./views/dropping";
import { home } from "./views/home";
import { song } from "./views/song";
import { askForToken } from "./views/token";
import type { View } from "./views/view";

const main = document.getElementById("main") as HTMLElement;
const busy = document.getElementById("busy") as HTMLElement;
const songs = new Songs();
const startPage = home(songs);
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
  const { count, percent } = songs.underWay();
  const ahead = ready !== null ? `✓ ${ready} · ` : count ? `${Math.floor(percent)} % · ` : "";
  const title = ahead + (heading === "Stemwright" ? heading : `${heading} · Stemwright`);
  if (document.title !== title) document.title = title;
}

let ready: string | null = null; // what came to its end while nobody looked

/** Tell those who look at another window: by the title, and by a notice where they have allowed it. */
function tell(name: string): void {
  if (!document.hidden) return;
  ready = name;
  entitle();
  if ("Notification" in window && Notification.permission === "granted") new Notification(`${name}: its stems are ready`, { tag: "stemwright" });
}

/** One line for all that is going on, so that it is seen from every view; and a word when something ends. */
function watch(): void {
  const before = new Map<string, string>();
  songs.watch(() => {
    entitle();
    const { count, percent } = songs.underWay();
    say(busy, count ? `${counted(count, "song")} under way, ${Math.floor(percent)} %` : "");
    for (const job of songs.jobs()) {
      const was = before.get(job.job_id);
      if (was !== undefined && was !== job.status && final(job)) {
        if (job.status === "completed") tell(job.filename ?? "The song");
        announce(`${job.filename ?? "The song"}: ${job.status === "completed" ? "its stems are ready" : job.status}.`);
      }
      before.set(job.job_id, job.status);
    }
  });
}

askWith(askForToken);
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  ready = null;
  entitle();
});
window.addEventListener("beforeunload", (event) => songs.isSending() && event.preventDefault()); // the browser asks
takeDrops((dropped) => {
  if (shown !== startPage) location.hash = "#/";
  startPage.drop(dropped);
});
route();
watch();
songs.tellCutOff();
void songs.load();
songs.stayFresh();
document.documentElement.dataset["ready"] = String(Math.round(performance.now())); // ms from the start of loading to here, for tests
