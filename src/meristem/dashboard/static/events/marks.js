// What recurs on the pages of events: names, and the way between them.

import { h } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { service } from "../parts/marks.js";

/** The type of an event: its name, and softly its package. @param {string} type */
export function named(type) {
  const at = type.lastIndexOf(".") + 1;
  return [h("span", { class: "name" }, type.slice(at)), h("span", { class: "soft package wide" }, type.slice(0, Math.max(0, at - 1)))];
}

const KINDS = { webhook: "webhook", broker: "broker", gone: "no part of the system" };

/** @param {{name: string, kind: string}} subscriber */
export const subscriberMark = ({ name, kind }) => (kind === "service" ? [service(name)]
  : [h("span", { class: "name" }, name.replace(/^bus:/, "")), h("span", { class: kind === "gone" ? "badge warn" : "badge" }, KINDS[kind])]);

/** The address of the dead letters that are like that. @param {Record<string, string>} like */
export const lettersOf = (like) => `/events/dead?${new URLSearchParams(like)}`;

/** The two places of events, as links. @param {string} current */
export function places(current) {
  const dead = h("a", { class: "button", href: "/events/dead" }, "Dead letters");
  const all = h("a", { class: "button", href: "/events" }, "Subscribers and types");
  (current === "/events" ? all : dead).setAttribute("aria-current", "page");
  return {
    element: h("div", { class: "places", role: "navigation", "aria-label": "Events" }, all, dead),
    /** @param {{dead: number}[]} subscribers */
    show(subscribers) {
      const sum = subscribers.reduce((total, each) => total + each.dead, 0);
      dead.replaceChildren("Dead letters", ...(sum ? [h("span", { class: "badge bad" }, count(sum))] : []));
    },
  };
}
