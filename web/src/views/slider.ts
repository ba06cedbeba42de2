/** A slider with its name and value in words, for eyes and for screen readers. A double click puts it back. */

import { h, say } from "../dom";

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
  readonly rest: number; // where a double click puts it
  readonly words: (value: number) => string;
  readonly change: (value: number) => void;
}

export function slider(options: SliderOptions): Slider {
  const { min, max, step } = options;
  const input = h("input", { type: "range", min, max, step, "aria-label": options.name ?? options.label });
  const shown = h("span", { class: "value" });

  function show(value: number): void {
    input.value = String(value);
    input.setAttribute("aria-valuetext", options.words(value));
    input.style.setProperty("--filled", String((value - min) / (max - min)));
    say(shown, options.words(value));
  }

  function take(value: number): void {
    show(value);
    options.change(value);
  }

  input.addEventListener("input", () => take(Number(input.value)));
  input.addEventListener("dblclick", () => take(options.rest));
  show(options.value);
  const label = h("span", { class: "label", "aria-hidden": "true" }, options.label);
  return { element: h("div", { class: "slider" }, label, input, shown), set: show };
}
