/** Taking stems and mixes home. */

import { announce, h, icon, ICONS, save, say } from "../dom";
import { bytes, counted, title } from "../format";
import { call, zipUrl } from "../net/api";
import { token } from "../net/session";
import type { Job, Stem } from "../net/types";
import { inWords } from "../net/words";

/**
 * Download a URL of the service. The browser does it alone, without holding the file in memory; only where a token is
 * needed, which must not be in a URL, the page fetches it.
 */
export async function download(url: string, name: string): Promise<void> {
  if (token() === null || new URL(url, location.href).origin !== location.origin) h("a", { href: url, download: name }).click();
  else save(await (await call(url)).blob(), name);
}

/** A song's file name without its kind. */
export function stemOf(job: Job): string {
  return (job.filename ?? "song").replace(/\.[^.]+$/, "");
}

export interface Downloads {
  readonly element: HTMLElement;
  /** Say how long the files stay, as it is now. */
  update(job: Job): void;
}

export function downloads(job: Job, stems: readonly Stem[], exportMix: (tell: (text: string) => void) => Promise<string>): Downloads {
  const boxes = stems.map((stem) => ({ stem, box: h("input", { type: "checkbox", id: `take-${stem.name}`, checked: true, change: show }) }));
  const state = h("p", { class: "quiet outcome" });
  const get: HTMLButtonElement = h("button", { type: "button", class: "primary", click: () => during(get, fetchChosen) }, "");
  const mix: HTMLButtonElement = h("button", { type: "button", click: () => during(mix, () => exportMix((text) => say(state, text))) }, icon(ICONS.download), "Export this mix (wav)");

  function chosen(): Stem[] {
    return boxes.filter(({ box }) => box.checked).map(({ stem }) => stem);
  }

  function show(): void {
    const size = chosen().reduce((sum, stem) => sum + stem.size, 0);
    get.disabled = chosen().length === 0;
    get.replaceChildren(icon(ICONS.download), chosen().length ? `Download ${counted(chosen().length, "stem")} (zip, ${bytes(size)})` : "Choose a stem to download");
  }

  async function fetchChosen(): Promise<string> {
    const names = chosen().map((stem) => stem.name);
    const url = zipUrl(job.job_id, names.length === stems.length ? [] : names);
    await download(url, `${stemOf(job)} stems.zip`);
    return "The download has begun.";
  }

  function during(button: HTMLButtonElement, work: () => Promise<string>): void {
    button.disabled = true;
    say(state, button === mix ? "Computing the mix…" : "");
    work()
      .catch(inWords)
      .then((text) => {
        say(state, text);
        announce(text);
      })
      .finally(() => {
        button.disabled = false;
        show();
      });
  }

  show();
  const stay = h("p", { class: "quiet stay" });

  function update(now: Job): void {
    const expires = Date.parse(now.expires_at ?? "");
    const until = new Date(expires).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    say(stay, Number.isNaN(expires) ? "The service keeps these files until you remove the song." : `The service keeps these files until ${until}.`);
  }

  update(job);
  const element = h(
    "section",
    { class: "card downloads", "aria-labelledby": "downloads-title" },
    h("h2", { id: "downloads-title" }, "Download"),
    h(
      "fieldset",
      { class: "row" },
      h("legend", { class: "unseen" }, "Stems to download"),
      ...boxes.map(({ stem, box }) => h("span", { class: "labelled" }, box, h("label", { for: box.id }, title(stem.name)))),
    ),
    h("div", { class: "row" }, get, mix),
    state,
    stay,
  );
  return { element, update };
}
