/** The first view: what to separate, and the songs so far. */

import { h } from "../dom";
import type { Songs } from "../songs";
import { intake } from "./intake";
import { list } from "./list";
import type { View } from "./view";

export function home(songs: Songs): View {
  const element = h(
    "div",
    { class: "home" },
    h("h1", {}, "Take a song apart"),
    h("p", { class: "lead" }, "Vocals, drums, bass and the rest, each on its own: to practise, to sing to, to remix. Nothing leaves this service."),
    intake(songs),
    list(songs),
  );
  return { element, heading: "Stemwright", close: () => undefined };
}
