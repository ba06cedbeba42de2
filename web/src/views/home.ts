/** The first view: what to separate, and the songs so far. */

import { h } from "../dom";
import type { Songs } from "../songs";
import { intake } from "./intake";
import { list } from "./list";
import type { View } from "./view";

export interface Home extends View {
  drop(dropped: DataTransfer): void;
}

export function home(songs: Songs): Home {
  const taking = intake(songs);
  const element = h(
    "div",
    { class: "home" },
    h("h1", {}, "Take a song apart"),
    h("p", { class: "lead" }, "Vocals, drums, bass and the rest, each on its own: to practise, to sing to, to remix. Nothing leaves this service."),
    taking.element,
    list(songs),
  );
  return { element, heading: "Stemwright", close: () => undefined, drop: taking.drop };
}
