// Small marks that recur: a service's name in its colour, a status, a time that grows old.

import { h } from "./dom.js";
import { ago, clock } from "./format.js";
import { hue } from "./hues.js";

/** @param {string} name of a service */
export const service = (name) => h("span", { class: "service", "data-hue": name, style: { "--hue": hue(name) } }, name || "–");

const GRAVE = { ready: "good", starting: "warn", draining: "warn", waiting: "warn", unready: "warn", failing: "bad", silent: "bad", stopped: "bad", failed: "bad", ok: "good" };

/** How grave a status is: good, warn, bad, or nothing. @param {string} status */
export const grave = (status) => GRAVE[status] ?? "";

/** A status as a dot and a word. @param {string} name */
export const status = (name) => h("span", { class: "status", "data-grave": grave(name) }, name);

/** A text whose parts in backticks are commands. @param {string} text */
export const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/** A time as how long ago it was, which goes on by itself. @param {number} seconds since 1970 */
export function since(seconds) {
  return h("time", { datetime: new Date(seconds * 1000).toISOString(), title: clock(seconds), "data-ago": seconds }, ago(seconds));
}

setInterval(() => {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("[data-ago]")) {
    const text = ago(Number(each.dataset.ago));
    if (each.textContent !== text) each.textContent = text;
  }
}, 1000);
