/** Model, stems, format, and what few people change. */

import { h } from "../dom";
import { title } from "../format";
import * as kept from "../kept";
import type { SeparationOptions } from "../net/api";
import type { Model, Offer } from "../net/types";

const DEFAULTS: SeparationOptions = { model: "", format: "", stems: "all", shifts: "", overlap: "" };
const FORMATS = ["mp3", "wav", "flac"];

export interface Options {
  readonly element: HTMLElement;
  values(): SeparationOptions;
  /** What is wrong with what was typed, in words, marked and in sight; null: nothing. */
  wrong(): string | null;
  offer(offer: Offer): void;
}

export function options(): Options {
  let models: readonly Model[] = [];
  const last = kept.options(DEFAULTS);
  const model = h("select", { id: "model", "aria-describedby": "about-model", change: () => follow() });
  const stems = h("select", { id: "stems", change: keep });
  const format = h("select", { id: "format", change: keep });
  const about = h("p", { id: "about-model", class: "quiet about-model" });
  const shifts = number("shifts", last.shifts, { min: 0, max: 20, step: 1 });
  const overlap = number("overlap", last.overlap, { min: 0, max: 0.95, step: 0.05 });
  const advanced = h(
    "details",
    {},
    h("summary", {}, "Advanced"),
    h(
      "div",
      { class: "fields" },
      field("Shifts", shifts, "The song is separated so many times, each a little shifted, and averaged: better, and so many times slower."),
      field("Overlap", overlap, "How far neighbouring segments overlap, 0 to 0.95. More is smoother and slower."),
    ),
  );
  const element = h(
    "fieldset",
    { class: "options" },
    h("legend", { class: "unseen" }, "How to separate"),
    h("div", { class: "fields" }, field("Model", model), field("Stems", stems), field("Format", format)),
    about,
    advanced,
  );

  function chosen(): Model | undefined {
    return models.find((each) => each.name === model.value);
  }

  function takes(option: string): boolean {
    return chosen()?.options?.includes(option) ?? true;
  }

  /** Fit everything to the model that is chosen. */
  function follow(): void {
    const now = chosen();
    fill(stems, stemChoices(now, takes("stems"), takes("two_stems")), stems.value || last.stems);
    fill(format, (now?.formats ?? FORMATS).map((each) => [each, formatName(each)]), format.value || last.format);
    about.replaceChildren(...linked([now?.title ? sentence(now.title) : "", now?.licence ? `Licence: ${sentence(now.licence)}` : ""].join(" ").trim()));
    format.disabled = format.options.length === 0; // it has one only, and nothing to say about it
    format.parentElement?.toggleAttribute("hidden", format.disabled);
    shifts.disabled = !takes("shifts");
    overlap.disabled = !takes("overlap");
    advanced.hidden = shifts.disabled && overlap.disabled;
    keep();
  }

  function values(): SeparationOptions {
    const given = (input: HTMLInputElement) => (input.disabled || !input.validity.valid ? "" : input.value);
    return { model: model.value, format: format.value, stems: stems.value || "all", shifts: given(shifts), overlap: given(overlap) };
  }

  function wrong(): string | null {
    for (const [input, name] of [[shifts, "Shifts"], [overlap, "Overlap"]] as const) {
      const bad = !input.disabled && !input.validity.valid;
      input.toggleAttribute("aria-invalid", bad);
      if (!bad) continue;
      input.setAttribute("aria-invalid", "true");
      advanced.open = true;
      input.focus();
      const step = input.validity.stepMismatch ? ` in steps of ${input.step}` : "";
      return `${name} is ${input.value || "no number"}: ${input.min} to ${input.max}${step} is meant, or nothing for the model's own.`;
    }
    return null;
  }

  function keep(): void {
    kept.keepOptions(values());
    for (const input of [shifts, overlap]) if (input.validity.valid) input.removeAttribute("aria-invalid");
  }

  return {
    element,
    values,
    wrong,
    offer(offer) {
      models = offer.models;
      const otherwise = models.find((each) => each.default)?.name ?? models[0]?.name ?? "";
      const known = models.some((each) => each.name === last.model);
      fill(model, models.map((each) => [each.name, each.name]), known ? last.model : otherwise);
      follow();
    },
  };
}

/** "wav24" -> "wav, 24 bit"; "mp3" stays. */
function formatName(format: string): string {
  return format.replace(/^(wav|flac)(\d+)$/, "$1, $2 bit").replace("-float", ", float");
}

/** Text with its web addresses as links. */
function linked(text: string): (Node | string)[] {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:)])/).map((part, index) =>
    index % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part,
  );
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

type Choice = readonly [value: string, label: string];

function stemChoices(model: Model | undefined, single: boolean, two: boolean): Choice[] {
  const names = model?.stems ?? [];
  return [
    ["all", names.length ? `All (${names.map(title).join(", ")})` : "All"],
    ...(single ? names.map((name): Choice => [name, `Only ${title(name)}`]) : []),
    ...(two && names.length > 2 ? names.map((name): Choice => [`two:${name}`, `Two: ${title(name)} and all the rest`]) : []),
  ];
}

function fill(select: HTMLSelectElement, choices: readonly Choice[], value: string): void {
  select.replaceChildren(...choices.map(([name, label]) => h("option", { value: name }, label)));
  if (choices.some(([name]) => name === value)) select.value = value;
}

function number(id: string, value: string, range: Record<string, number>): HTMLInputElement {
  return h("input", { type: "number", id, value, inputmode: "decimal", placeholder: "model's own", "aria-describedby": `${id}-help`, ...range });
}

function field(label: string, control: HTMLElement, help?: string): HTMLElement {
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    help !== undefined && h("p", { class: "quiet", id: `${control.id}-help` }, help),
  );
}
