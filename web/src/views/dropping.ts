/** Files may be dropped anywhere: the whole window takes them, and says so while they hover. */

import { h } from "../dom";

/** Give what is dropped, files and links, to `take`. */
export function takeDrops(take: (dropped: DataTransfer) => void): void {
  const overlay = h("div", { class: "dropping", "aria-hidden": "true", hidden: true }, h("p", {}, "Drop to separate"));
  document.body.append(overlay);
  let depth = 0; // elements entered and not left

  function show(over: boolean): void {
    overlay.hidden = !over;
    if (!over) depth = 0;
  }

  const carries = (event: DragEvent) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");
  window.addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth++;
    show(true);
  });
  window.addEventListener("dragleave", () => --depth <= 0 && show(false));
  window.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser leaves the page and opens the file
    show(false);
    if (event.dataTransfer) take(event.dataTransfer);
  });
}
