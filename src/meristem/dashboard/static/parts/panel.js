// What opens beside a page, and closes by its button or by Escape.

import { h, icon } from "./dom.js";

/** @param {string | Node} title @param {() => void} close @param {...any} content */
export function panel(title, close, ...content) {
  return h("aside", { class: "panel card", "aria-label": "Details" },
    h("div", { class: "panel-head" }, h("h2", {}, title),
      h("button", { class: "quiet", type: "button", "aria-label": "Close", title: "Close (Esc)", on: { click: close } }, icon("M4 4l8 8M12 4l-8 8"))),
    ...content);
}
