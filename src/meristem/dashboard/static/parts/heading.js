// The line at the top of a page: its title, what it counts, its tools.

import { h, icon } from "./dom.js";
import { titled } from "./router.js";

/**
 * @param {import("./view.js").View} view @param {string} title @param {...any} tools
 * @returns {{count: HTMLElement, title: HTMLElement}}
 */
export function heading(view, title, ...tools) {
  const count = h("span", { class: "count", "aria-live": "off" });
  const heading = h("h1", { tabindex: "-1" }, title);
  view.root.append(h("div", { class: "head" }, heading, count, h("div", { class: "tools" }, tools)));
  titled(title);
  return { count, title: heading };
}

/** What stands where there is nothing: a sentence, and what to do. @param {string} what @param {string} advice */
export const empty = (what, advice) => h("div", { class: "empty" }, h("strong", {}, what), h("span", {}, advice));

export const waiting = () => h("p", { class: "waiting" }, "Asking the system…");

/** A button that copies an id. @param {string} text @param {string} label */
export function copier(text, label) {
  const button = h("button", { class: "quiet", type: "button", "aria-label": label, title: "Copy the id" }, icon("M5.5 5.5V2H14v8.5h-3.5M2 5.5h8.5V14H2z"));
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    button.replaceChildren(icon("M3 8.5 6.5 12 13 4.5"));
  });
  return button;
}
