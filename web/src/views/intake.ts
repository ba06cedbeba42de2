/** What to separate: files, links, and how. */

import { append, announce, h, icon, ICONS } from "../dom";
import { bytes, counted } from "../format";
import * as api from "../net/api";
import type { Offer } from "../net/types";
import { inWords } from "../net/words";
import type { Songs } from "../songs";
import { options } from "./options";

const AUDIO = "audio/*,.mp3,.wav,.flac,.m4a,.ogg,.opus,.aac,.aiff";

const VIDEOS = /(^|\.)(youtube\.com|youtu\.be|youtube-nocookie\.com|spotify\.com|soundcloud\.com)$/;

export interface Intake {
  readonly element: HTMLElement;
  /** Take what was dropped somewhere. */
  drop(dropped: DataTransfer): void;
}

export function intake(songs: Songs): Intake {
  const chosen: (File | string)[] = [];
  const form = options();
  let offered: Offer = { models: [] };

  const picker = h("input", { type: "file", id: "files", multiple: true, accept: AUDIO, class: "unseen", change: () => {
    add([...(picker.files ?? [])]);
    picker.value = ""; // the same file may be chosen again
  } });
  const zone = h(
    "label",
    { for: "files", class: "zone" },
    icon(ICONS.upload),
    h("strong", {}, "Choose songs"),
    h("span", {}, "or drop them here"),
  );
  const link = h("input", { type: "url", id: "link", placeholder: "https://…", autocomplete: "off", inputmode: "url" });
  const links = h(
    "form",
    { class: "links", hidden: true, novalidate: true, submit: (event: Event) => {
      event.preventDefault();
      addLink();
    } },
    h("label", { for: "link" }, "Or a link to a song"),
    h("div", { class: "row" }, link, h("button", {}, "Add link")),
  );
  const problem = h("p", { class: "note bad", role: "alert", hidden: true });
  const waiting = h("ul", { class: "chosen", "aria-label": "Chosen songs" });
  const go = h("button", { type: "button", class: "primary big", disabled: true, click: start }, "Separate");

  function complain(text: string | null): void {
    problem.hidden = text === null;
    problem.textContent = text ?? "";
  }

  function add(files: readonly File[]): void {
    const limit = offered.max_file_size ?? Infinity;
    const refused = files.filter((file) => file.size > limit || file.size === 0);
    chosen.push(...files.filter((file) => !refused.includes(file)));
    complain(refused.map((file) => file.size === 0
      ? `${file.name} is empty.`
      : `${file.name} has ${bytes(file.size)}; this service takes ${bytes(limit)} at most.`).join(" ") || null);
    show();
  }

  function addLink(): void {
    const text = link.value.trim();
    if (!/^https?:\/\/\S+$/.test(text)) {
      complain(text ? `“${text}” is no web address: it has to begin with https://.` : "Put the address of a song into the field first.");
      link.focus();
      return;
    }
    if (VIDEOS.test(host(text))) {
      complain("That is a page with a player, not a sound file. Save the song as a file, or give a link that leads to one.");
      link.focus();
      return;
    }
    complain(null);
    chosen.push(text);
    link.value = "";
    show();
  }

  function show(): void {
    waiting.replaceChildren(...chosen.map((source, index) => chip(source, () => {
      chosen.splice(index, 1);
      show();
      (waiting.querySelector("button") ?? picker).focus();
    })));
    go.disabled = chosen.length === 0 || offered.models.length === 0;
    go.textContent = chosen.length ? `Separate ${counted(chosen.length, "song")}` : "Separate";
    if (chosen.length) announce(`${counted(chosen.length, "song")} chosen.`);
  }

  function start(): void {
    const wrong = form.wrong();
    complain(wrong);
    if (wrong !== null) return;
    songs.send(chosen.splice(0), form.values());
    show();
    document.getElementById("songs-title")?.focus();
  }

  function drop(dropped: DataTransfer): void {
    const files = [...dropped.files];
    const address = dropped.getData("text/uri-list");
    if (files.length) add(files);
    else if (address && !links.hidden) {
      link.value = address.split("\n")[0] ?? "";
      addLink();
    }
  }

  async function ask(): Promise<void> {
    try {
      offered = await api.offer();
      form.offer(offered);
      links.hidden = offered.links === false;
      show();
    } catch (error) {
      complain(`${inWords(error)} The list of models could not be read.`);
      setTimeout(() => void ask().then(() => offered.models.length && complain(null)), 5000);
    }
  }

  const box = h("section", { class: "card intake", "aria-label": "New separation" });
  append(box, h("div", { class: "pick" }, picker, zone), links, waiting, problem, form.element, go);
  void ask();
  return { element: box, drop };
}

function host(address: string): string {
  try {
    return new URL(address).hostname;
  } catch {
    return "";
  }
}

function chip(source: File | string, remove: () => void): HTMLElement {
  const name = typeof source === "string" ? source : source.name;
  return h(
    "li",
    {},
    h("span", { class: "name" }, name),
    typeof source !== "string" && h("span", { class: "quiet" }, bytes(source.size)),
    h("button", { type: "button", class: "plain", "aria-label": `Leave out ${name}`, click: remove }, icon(ICONS.close)),
  );
}
