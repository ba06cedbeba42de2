/** Files may be dropped anywhere: the whole window takes them, and says so while they hover. */

import { h } from "../dom";

const STALE = 1000; // ms without a word of what hovers

/** Give what is dropped, files and links, to `take`. */
export function takeDrops(take: (dropped: DataTransfer) => void): void {
  const overlay = h("div", { class: "dropping", "aria-hidden": "true", hidden: true }, h("p", {}, "Drop to separate"));
  document.body.append(overlay);
  let timer = 0;

  function show(over: boolean): void {
    window.clearTimeout(timer);
    overlay.hidden = !over;
    // A browser says again and again that something hovers, and not always that it has left.
    if (over) timer = window.setTimeout(() => show(false), STALE);
  }

  const carries = (event: DragEvent) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");
  for (const kind of ["dragenter", "dragover"] as const) {
    window.addEventListener(kind, (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      show(true);
    });
  }
  window.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser leaves the page and opens the file
    show(false);
    if (event.dataTransfer) take(event.dataTransfer);
  });
}
