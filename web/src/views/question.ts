/** A question in a dialog of the page's own, which does not stop the sound as the browser's does. */

import { h } from "../dom";

/** Ask; true if the answer is `yes`. The focus goes back to where it was. */
export function question(text: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const before = document.activeElement as HTMLElement | null;
    const agree = h("button", { type: "submit", value: "yes", class: "primary" }, yes);
    const dialog = h(
      "dialog",
      { class: "question", "aria-label": text, close: () => {
        dialog.remove();
        before?.focus();
        resolve(dialog.returnValue === "yes");
      } },
      h("form", { method: "dialog" }, h("p", {}, text), h("div", { class: "row" }, agree, h("button", { type: "submit", value: "no" }, "Keep it"))),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
