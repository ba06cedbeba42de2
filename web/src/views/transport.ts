/** Play, seek, loop, tempo, key, and the volume of all. */

import { LOUDEST, SILENT, type Master } from "../audio/mix";
import type { Region } from "../audio/region";
import { h, icon, ICONS, say } from "../dom";
import { clock, decibels, parseClock, signed, spoken } from "../format";
import { slider } from "./slider";
import { heedTouches } from "./touches";

export const STEP = 5; // s, that an arrow moves the song

export interface TransportEvents {
  toggle(): void;
  seek(to: number): void;
  loop(on: boolean): void;
  from(at: number): void;
  to(at: number): void;
  fromHere(): void;
  toHere(): void;
  master(news: Partial<Master>): void;
}

export interface Transport {
  readonly element: HTMLElement;
  tick(position: number, level: number): void;
  playing(on: boolean, busy: boolean): void;
  loop(on: boolean, region: Region): void;
  master(master: Master): void;
}

export function transport(duration: number, master: Master, events: TransportEvents): Transport {
  const play = h("button", { type: "button", class: "primary round play", click: events.toggle });
  const toStart = h("button", { type: "button", class: "round", "aria-label": "To the start", click: () => events.seek(0) }, icon(ICONS.start));
  const now = h("span", { class: "now" });
  const time = h("p", { class: "time" }, now, h("span", { class: "quiet" }, ` / ${clock(duration, 1)}`));
  const meter = h("div", { class: "meter", "aria-hidden": "true" }, h("div", {}));
  const seek: HTMLInputElement = h("input", { type: "range", class: "seek", min: 0, max: duration, step: 0.1, value: 0, "aria-label": "Position", keydown: step });
  const loop: HTMLButtonElement = h("button", { type: "button", class: "toggle", "aria-pressed": "false", click: () => events.loop(loop.getAttribute("aria-pressed") !== "true") }, icon(ICONS.loop), "Loop");
  heedTouches(seek, events.seek);
  const start = moment("From", (at) => events.from(at));
  const end = moment("To", (at) => events.to(at));

  /** Arrows to the side go as far here as anywhere else; those up and down move by a tenth of a second, as the slider has it. */
  function step(event: KeyboardEvent): void {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    events.seek(Number(seek.value) + way * STEP);
  }

  const tempo = slider({
    label: "Tempo", min: 50, max: 150, step: 1, value: Math.round(master.tempo * 100), rest: 100,
    words: (percent) => `${percent} %`, change: (percent) => events.master({ tempo: percent / 100 }),
  });
  const key = slider({
    label: "Key", min: -12, max: 12, step: 1, value: master.key, rest: 0,
    words: (semitones) => (semitones === 0 ? "as it is" : `${signed(semitones)} semitones`), short: signed, change: (semitones) => events.master({ key: semitones }),
  });
  const volume = slider({
    label: "Volume", name: "Volume of the whole mix", min: SILENT, max: LOUDEST, step: 0.5, value: master.volume, rest: 0,
    words: (db) => decibels(db, SILENT), change: (db) => events.master({ volume: db }),
  });
  const element = h(
    "div",
    { class: "transport" },
    h("section", { class: "card drive", "aria-label": "Playing" }, h("div", { class: "row" }, toStart, play, time, meter), seek),
    h(
      "section",
      { class: "card", "aria-label": "Loop, tempo, key and volume" },
      h(
        "div",
        { class: "row looping" },
        loop,
        h("div", { class: "labelled" }, start.element, here("Loop from here", events.fromHere)),
        h("div", { class: "labelled" }, end.element, here("Loop to here", events.toHere)),
      ),
      h("div", { class: "faders" }, tempo.element, key.element, volume.element),
    ),
  );
  return {
    element,
    tick(position, level) {
      say(now, clock(position, 1));
      if (Math.abs(Number(seek.value) - position) >= 0.05) seek.value = String(position);
      seek.setAttribute("aria-valuetext", `${spoken(position)} of ${spoken(duration)}`);
      seek.style.setProperty("--filled", String(position / duration));
      meter.style.setProperty("--level", String(Math.min(1, level)));
    },
    playing(on, busy) {
      const label = busy ? "Loading, press to stop" : on ? "Pause" : "Play";
      if (play.getAttribute("aria-label") === label) return;
      play.setAttribute("aria-label", label);
      play.classList.toggle("busy", busy);
      play.replaceChildren(icon(on ? ICONS.pause : ICONS.play));
    },
    loop(on, region) {
      loop.setAttribute("aria-pressed", String(on));
      start.show(region.start);
      end.show(region.end);
    },
    master(now) {
      tempo.set(Math.round(now.tempo * 100));
      key.set(now.key);
      volume.set(now.volume);
    },
  };
}

interface Moment {
  readonly element: HTMLElement;
  show(at: number): void;
}

/** A field for a time. `change` hears what was typed; a text that is no time goes back to what it was. */
function moment(label: string, change: (at: number) => void): Moment {
  const id = `loop-${label.toLowerCase()}`;
  const input = h("input", { type: "text", id, class: "moment", "aria-label": `Loop ${label.toLowerCase()}`, autocomplete: "off", change: take });
  let shown = 0;

  function show(at: number): void {
    shown = at;
    input.value = clock(at, 3);
  }

  function take(): void {
    const typed = parseClock(input.value);
    if (typed === null) show(shown);
    else change(typed);
  }

  return { element: h("span", { class: "labelled" }, h("label", { for: id }, label), input), show };
}

function here(name: string, click: () => void): HTMLElement {
  return h("button", { type: "button", "aria-label": name, title: name, click }, "here");
}
