// The keyboard: g and a letter for pages, / for the search, arrows within lists, ? for this list, Esc to close.

import { h } from "./dom.js";
import { go, open } from "./router.js";

const WAIT = 1500;
let afterG = -WAIT;

/** @param {import("../routes.js").Route[]} pages */
export function listenToKeys(pages) {
  const dialog = document.querySelector("#keys");
  describe(dialog, pages);
  document.querySelector("#help").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.defaultPrevented) return;
    if (event.key === "Escape") escape(event);
    else if (event.target.matches?.("input, select, textarea")) return;
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "/") search(event);
    else if (event.key === "g") afterG = performance.now();
    else if (performance.now() - afterG < WAIT) jump(event, pages);
    else walk(event);
  });
}

function escape(event) {
  const field = event.target.matches?.("input[type=search]") ? event.target : null;
  if (field?.value) return; // the browser empties it
  if (field) field.blur();
  else open()?.escapes.some((each) => each());
}

function search(event) {
  const field = document.querySelector("main input[type=search]"); // the first one
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

function jump(event, pages) {
  const page = pages.find((each) => each.key === event.key);
  afterG = -WAIT;
  if (!page) return;
  event.preventDefault();
  go(page.path);
}

/** Within a list, whose items have `data-item`: the next and the one before, the first and the last. */
function walk(event) {
  const item = event.target.closest?.("[data-item]");
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined || (!item && event.key !== "j" && event.key !== "k")) return;
  const list = item?.closest("[data-list]") ?? document.querySelector("main [data-list]");
  const items = [...(list?.querySelectorAll("[data-item]") ?? [])];
  if (!items.length) return;
  event.preventDefault();
  const at = item ? items.indexOf(item) + step : 0;
  items[Math.max(0, Math.min(items.length - 1, at))].focus();
}

function describe(dialog, pages) {
  const keys = [
    ...pages.map((page) => [["g", page.key], page.title]),
    [["/"], "Search on this page"],
    [["↑", "↓"], "Through a list, also by k and j"],
    [["+", "−", "0"], "Map: nearer, farther, all of it"],
    [["Esc"], "Close what is open"],
    [["?"], "These keys"],
  ];
  dialog.append(
    h("h2", { id: "keys-title" }, "Keys"),
    h("dl", {}, keys.flatMap(([names, what]) => [h("dt", {}, names.map((name) => h("kbd", {}, name))), h("dd", {}, what)])),
    h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
