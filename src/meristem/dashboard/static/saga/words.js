// What the pages of sagas have in common: states, times, links, and values as people read them.

import { h } from "../parts/dom.js";
import { duration } from "../parts/format.js";

/** In the order in which they are offered. */
export const STATES = ["running", "waiting", "undoing", "parked", "done", "failed"];
export const GOING = ["running", "waiting", "undoing"];

const GRAVE = { running: "going", waiting: "pausing", undoing: "warn", parked: "warn", done: "good", failed: "bad" };

/** The contract tells times as texts (RFC 3339); pages count in seconds since 1970. @param {string | null} text */
export const seconds = (text) => (text ? Date.parse(text) / 1000 : null);

/** A saga's state as a dot and a word. @param {any} saga */
export function stateOf(saga) {
  const undone = saga.cancelled && saga.state !== "undoing" && saga.state !== "failed" && saga.state !== "done";
  return h("span", { class: "status", "data-grave": GRAVE[saga.state] ?? "" }, undone ? `${saga.state}, cancelled` : saga.state);
}

/** Whether what it did is taken back, now or once it is retried. @param {any} saga */
export const isUndone = (saga) => saga.cancelled || saga.state === "undoing" || (saga.state === "parked" && Boolean(saga.error));

/** A step's name as people say it; a private method is one of the saga's own service. @param {any} step */
export const nameOf = (step) => step.name.replace(/^signal:/, "signal ").replace(/^\w+\.(_\w+)$/, "$1");

/** How long until a time, or that it is over. @param {number} when */
export function until(when, now = Date.now() / 1000) {
  return when > now ? `in ${duration(Math.ceil(when - now))}` : "due now";
}

/** Where one saga is shown. @param {string} service @param {string} id */
export const placeOf = (service, id) => `/sagas/${encodeURIComponent(service)}/${encodeURIComponent(id)}`;

/** A link to a saga; where nobody knows its service, by a search for its id. @param {string | null} service @param {string} id */
export const linkTo = (service, id, text = id.slice(0, 8)) =>
  h("a", { class: "mono", href: service ? placeOf(service, id) : `/sagas?text=${encodeURIComponent(id)}`, title: id }, text);
