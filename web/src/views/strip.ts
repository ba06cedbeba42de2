/** One stem: name, mute, solo, volume, pan, download, and its waveform. */

import { LOUDEST, SILENT, type Strip } from "../audio/mix";
import { h, icon, ICONS, say } from "../dom";
import { bytes, decibels, panned, title } from "../format";
import type { Stem } from "../net/types";
import { slider } from "./slider";
import { Waveform } from "./waveform";

export interface StripView {
  readonly element: HTMLElement;
  readonly lane: HTMLElement;
  readonly wave: Waveform;
  show(strip: Strip, heard: boolean): void;
  note(text: string): void; // what is going on with its samples
}

const COLOURS = ["vocals", "drums", "bass", "other", "guitar", "piano"];

export function strip(stem: Stem, index: number, first: Strip, change: (news: Partial<Strip>) => void, download: () => void): StripView {
  let now = first;
  const name = title(stem.name);
  const mute = toggle("Mute", `Mute ${name}`, () => change({ muted: !now.muted }));
  const solo = toggle("Solo", `Solo ${name}`, () => change({ soloed: !now.soloed }));
  const volume = slider({
    label: "Volume", name: `Volume of ${name}`, min: SILENT, max: LOUDEST, step: 0.5, value: first.volume, rest: 0,
    words: (db) => decibels(db, SILENT), change: (value) => change({ volume: value }),
  });
  const pan = slider({
    label: "Pan", name: `Pan of ${name}`, min: -1, max: 1, step: 0.05, value: first.pan, rest: 0,
    words: panned, change: (value) => change({ pan: value }),
  });
  const note = h("span", { class: "quiet note-small" });
  const get = h(
    "a",
    { class: "button plain", href: stem.url, download: "", "aria-label": `Download ${name}, ${bytes(stem.size)}`, title: `Download, ${bytes(stem.size)}`,
      click: (event: MouseEvent) => {
        event.preventDefault();
        download();
      } },
    icon(ICONS.download),
  );
  const wave = new Waveform();
  const lane = h("div", { class: "lane" }, wave.element, note);
  const colour = COLOURS.includes(stem.name) ? stem.name : `more${index % 3}`;
  const element = h(
    "section",
    { class: `strip stem-${colour}`, "aria-label": name, "data-stem": stem.name },
    h("div", { class: "head" }, h("h3", {}, name), h("div", { class: "row" }, mute, solo, get)),
    h("div", { class: "faders" }, volume.element, pan.element),
    lane,
  );
  return {
    element,
    lane,
    wave,
    show(strip, heard) {
      now = strip;
      mute.setAttribute("aria-pressed", String(strip.muted));
      solo.setAttribute("aria-pressed", String(strip.soloed));
      volume.set(strip.volume);
      pan.set(strip.pan);
      element.classList.toggle("unheard", !heard);
    },
    note: (text) => say(note, text),
  };
}

function toggle(label: string, name: string, click: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: `toggle ${label.toLowerCase()}`, "aria-pressed": "false", "aria-label": name, click }, label);
}
