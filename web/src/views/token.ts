/** The question for an access token. */

import { h } from "../dom";

export function askForToken(refused: boolean): Promise<string | null> {
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-why" });
  const why = refused ? "The service did not accept that token. Check it, or ask for a new one." : "This service wants an access token.";
  const dialog: HTMLDialogElement = h(
    "dialog",
    { "aria-labelledby": "token-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "token-title" }, "Sign in"),
      h("p", { id: "token-why" }, `${why} It is kept until this tab is closed.`),
      h("label", { for: "token" }, "Access token"),
      field,
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", click: () => dialog.close("") }, "Not now"),
        h("button", { class: "primary", value: "given" }, "Sign in"),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "given" && field.value ? field.value.trim() : null);
    });
  });
}
