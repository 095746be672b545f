// What a page does not know because a service is silent, or something else can't be asked.

import { h } from "./dom.js";

/** A place for a line about each thing that is missing; it takes no room while nothing is. */
export function missing() {
  const element = h("div", { class: "stack missings", role: "status" });
  let shown = "";
  return {
    element,
    /** @param {string[]} silent services @param {string} what of theirs, with its verb @param {...(string | null | undefined)} others */
    show(silent, what, ...others) {
      const lines = [silent.length ? `${silent.join(", ")} did not answer: ${what} missing here.` : "", ...others].filter(Boolean);
      if (shown === (shown = lines.join("\n"))) return;
      element.replaceChildren(...lines.map((line) => h("p", { class: "missing" }, line)));
    },
  };
}
