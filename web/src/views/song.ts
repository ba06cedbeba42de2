/** One song: its mixer when it is done, and before that how far it is. */

import { h, say } from "../dom";
import type { Stem } from "../net/types";
import { inWords, sentence } from "../net/words";
import type { Songs } from "../songs";
import { mixer, type Mixer } from "./mixer";
import type { View } from "./view";

const LOOK = 20_000; // ms: how long it stays, and whether it is still there
const ORDER = ["vocals", "drums", "bass", "guitar", "piano"]; // as on most mixing desks; what is not here comes after

function inOrder(stems: readonly Stem[]): Stem[] {
  const place = (stem: Stem) => (ORDER.includes(stem.name) ? ORDER.indexOf(stem.name) : ORDER.length);
  return [...stems].sort((one, other) => place(one) - place(other));
}

export function song(id: string, songs: Songs): View {
  const heading = h("h1", {}, "Mixer");
  const state = h("p", { class: "lead", role: "status" }, "Loading…");
  const element = h("div", { class: "mixer" }, h("p", {}, h("a", { href: "#/", class: "back" }, "All songs")), heading, state);
  const gone = h("p", { class: "note bad", role: "alert", hidden: true }, "This song was removed from the service. What is loaded still plays; send it again for new stems.");
  let shown: Mixer | null = null;
  let closed = false;

  function show(): void {
    const job = songs.job(id);
    if (closed) return;
    if (shown) {
      gone.hidden = job !== undefined;
      if (job) shown.update(job);
      return;
    }
    if (!job) return;
    say(heading, job.filename ?? "Mixer");
    if (job.status === "completed" && job.stems?.length) {
      state.remove();
      shown = mixer(job, inOrder(job.stems), fresh);
      element.append(gone, shown.element);
    } else if (job.status === "failed") say(state, sentence(job.error) ?? "It failed.");
    else if (job.status === "canceled") say(state, "It was canceled, so there are no stems.");
    else say(state, `Not ready yet: ${job.status}, ${Math.floor(job.progress)} %. The mixer opens here when it is.`);
  }

  async function fresh(): Promise<readonly Stem[]> {
    await songs.refresh(id);
    return songs.job(id)?.stems ?? [];
  }

  const stop = songs.watch(show);
  const again = setInterval(() => !document.hidden && shown && void songs.refresh(id), LOOK);
  songs
    .refresh(id)
    .then(() => songs.job(id) || say(state, songs.trouble ?? "This song is not on the service any more. Send it again for new stems."))
    .catch((error: unknown) => say(state, inWords(error)));
  return {
    element,
    get heading() {
      return songs.job(id)?.filename ?? "Mixer";
    },
    close: () => {
      closed = true;
      clearInterval(again);
      stop();
      shown?.close();
    },
  };
}
