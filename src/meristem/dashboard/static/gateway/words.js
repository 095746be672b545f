// What recurs about the gateway: who refused how many, statuses, bars of how full something is.

import { h } from "../parts/dom.js";
import { count, share } from "../parts/format.js";

/**
 * By what an address is counted: itself, or of IPv6 the network of 64 bits, without leading zeros as it is written.
 * @param {string} address
 */
export function crowdOf(address) {
  if (!address.includes(":")) return address;
  const [before, after] = address.split("::").map((each) => (each ? each.split(":") : []));
  const left = after ? [...before, ...Array(8 - before.length - after.length).fill("0"), ...after] : before;
  return left.slice(0, 4).join(":");
}

/** A share of failed answers, as everywhere. @param {number} failed */
export const failedMark = (failed) => (failed >= 0.01 ? "bad" : failed ? "warn" : "");

/** @param {string} text @param {string} hint @param {string} [grave] */
export const badge = (text, hint, grave = "") => h("span", { class: `badge ${grave}`, title: hint }, text);

/** What only counts. @param {{dry_run: boolean}} each */
export const dry = (each) => (each.dry_run ? badge("dry run", "It counts and refuses nothing") : "");

/** The route of what no other fits. @param {string} name */
export const routeName = (name) => (name === "*" ? "all else" : name);

/** What refused how many, the most first. @param {Record<string, number>} counts */
const most = (counts) => Object.entries(counts).sort(([, one], [, other]) => other - one);

/** @param {any} route */
export const refusedBy = (route) => [
  ...most(route.refused).map(([name, number]) => named(name, number)),
  ...most(route.would_refuse).map(([name, number]) => h("span", { class: "badge", title: "A dry run would have refused them" }, `dry run ${name} ${count(number)}`)),
  ...most(route.answered).map(([name, number]) => h("span", { class: "soft", title: "Answered by the gateway itself" }, `${name} ${count(number)}`)),
];

const named = (name, number) => h("span", { class: "by" }, `${name} `, h("strong", {}, count(number)));

/** Answers by the class of their status; each has its statuses as a hint. @param {Record<string, number>} statuses */
export function answers(statuses) {
  /** @type {Record<string, [string, number][]>} */
  const classes = {};
  for (const each of Object.entries(statuses)) (classes[each[0][0]] ??= []).push(each);
  return Object.entries(classes).map(([first, each]) => h("span", { class: `by ${first === "5" ? "bad" : ""}`, title: each.map(([status, number]) => `${status}: ${count(number)}`).join("\n") },
    `${each.length === 1 ? each[0][0] : `${first}xx`} `, h("strong", {}, count(each.reduce((sum, [, number]) => sum + number, 0)))));
}

/** How full the fullest of a limit are; one is marked whose next request is refused. @param {{fullest: {key: string, share: number}[], burst?: number}} limit @param {number} shown */
export const gauges = ({ fullest, burst }, shown) => h("ul", { class: "gauges" }, fullest.slice(0, shown).map((each) => h("li", { "data-full": isFull(each.share, burst) ? "true" : null },
  h("span", { class: "key mono", title: each.key }, each.key), h("span", { class: "gauge", style: { "--part": Math.min(1, each.share).toFixed(3) } }), h("span", { class: "number" }, share(each.share)))));

/** Whether there is no room for one more, where `burst` and one are all that there is. @param {number} share @param {number} [burst] none of a limit on what is in flight */
const isFull = (share, burst) => (burst === undefined ? share >= 1 : share * (burst + 1) > burst);

/** How many were refused by a limit or rule, over all routes; those of dry runs by themselves. @param {any} view @param {string} name */
export function refusedTimes({ routes }, name) {
  const sum = (field) => routes.reduce((total, each) => total + (each[field][name] ?? 0), 0);
  return { refused: sum("refused"), would: sum("would_refuse") };
}
