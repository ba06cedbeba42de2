/** A slider with its name and value in words, for eyes and for screen readers, and a button that puts it back. */

import { h, icon, ICONS, say } from "../dom";
import { heedTouches } from "./touches";

export interface Slider {
  readonly element: HTMLElement;
  set(value: number): void;
}

export interface SliderOptions {
  readonly label: string; // what is seen
  readonly name?: string; // what is heard, where the label alone would not tell sliders apart
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly value: number;
  readonly rest: number; // where the button and a double click put it
  readonly words: (value: number) => string;
  readonly short?: (value: number) => string; // what is seen, where the words are too long for it
  readonly change: (value: number) => void;
}

export function slider(options: SliderOptions): Slider {
  const { min, max, step, rest } = options;
  const name = options.name ?? options.label;
  const input = h("input", { type: "range", min, max, step, "aria-label": name });
  const shown = h("span", { class: "value" });
  const back = h("button", { type: "button", class: "plain back-to-rest", "aria-label": `Reset: ${name}`, title: `Back to ${options.words(rest)}`, click: reset }, icon(ICONS.reset));

  function show(value: number): void {
    input.value = String(value);
    input.setAttribute("aria-valuetext", options.words(value));
    input.style.setProperty("--filled", String((value - min) / (max - min)));
    say(shown, (options.short ?? options.words)(value));
    back.classList.toggle("at-rest", value === rest);
  }

  function take(value: number): void {
    show(value);
    options.change(value);
  }

  function reset(): void {
    take(rest);
    input.focus(); // the button is out of sight now
  }

  heedTouches(input, take);
  input.addEventListener("dblclick", () => take(rest));
  show(options.value);
  const label = h("span", { class: "label", "aria-hidden": "true" }, options.label);
  return { element: h("div", { class: "slider" }, label, input, shown, back), set: show };
}
