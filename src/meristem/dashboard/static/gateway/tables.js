// The tables of the gateway: routes, limits, rules and bans.

import { acting } from "../parts/acting.js";
import { h } from "../parts/dom.js";
import { clock, count, duration, rate, share } from "../parts/format.js";
import { since } from "../parts/marks.js";
import { table } from "../parts/table.js";
import { unban } from "./changes.js";
import { answers, badge, dry, failedMark, gauges, refusedBy, refusedTimes, routeName } from "./words.js";

const FULLEST = 3;

/** @param {import("../parts/view.js").View} view */
export function routeTable(view) {
  return table({
    caption: "Routes, and what became of requests on them", key: (each) => each.name, chosen: (each) => each.name === view.get("route"),
    columns: [
      { name: "route", title: "Route", kind: "name-column named", text: (r) => routeName(r.name), hint: (r) => (r.name === "*" ? "What no other route fits" : r.name), link: (r) => view.url({ route: r.name }),
        cell: (r) => h("span", { class: r.name === "*" ? "soft" : "name" }, routeName(r.name)) },
      { name: "rate", title: "Let in", number: true, text: (r) => rate(r.last_minute.admitted), hint: (r) => `${count(r.admitted)} since the edge began` },
      { name: "refused", title: "Refused", number: true, text: (r) => rate(r.last_minute.refused), grave: (r) => (r.last_minute.refused ? "" : "soft"), hint: (r) => `${count(sum(r.refused))} since the edge began` },
      { name: "failed", title: "Failed", number: true, text: (r) => share(r.last_minute.failed), grave: (r) => failedMark(r.last_minute.failed) || "soft", hint: () => "Answers with 500 and above, of the last minute" },
      { name: "p50", title: "p50", number: true, from: "wide", text: (r) => duration(r.last_minute.p50) },
      { name: "p99", title: "p99", number: true, from: "wide", text: (r) => duration(r.last_minute.p99) },
      { name: "answers", title: "Answers", from: "wide", text: (r) => JSON.stringify(r.statuses), cell: (r) => h("span", { class: "several answered" }, orNone(answers(r.statuses))) },
      { name: "by", title: "Refused by", kind: "fill", from: "wide", text: (r) => JSON.stringify([r.refused, r.would_refuse, r.answered]), cell: (r) => h("span", { class: "several" }, orNone(refusedBy(r))) },
    ],
  });
}

const sum = (counts) => Object.values(counts).reduce((total, each) => total + each, 0);
const orNone = (found) => (found.length ? found : h("span", { class: "soft" }, "–"));

/** @param {() => any} known the overview */
export function limitTable(known) {
  const refused = (limit) => refusedTimes(known(), limit.name)[limit.dry_run ? "would" : "refused"];
  return table({
    caption: "Limits, and how full they are", key: (each) => each.name,
    columns: [
      { name: "limit", title: "Limit", kind: "name-column named", hint: (l) => l.name, text: (l) => JSON.stringify([l.name, l.dry_run, l.store, l.is_away]),
        cell: (l) => [h("span", { class: "name" }, l.name), " ", dry(l), l.store ? badge(l.is_away ? "store away" : "shared", l.is_away ? `${l.store} does not answer: each replica counts for itself` : `Counted together in ${l.store}`, l.is_away ? "warn" : "") : ""] },
      { name: "rate", title: "Admits", kind: "wraps", text: (l) => JSON.stringify([l.rate, l.burst, l.requests]),
        cell: (l) => (l.rate ? [l.rate, h("span", { class: "soft" }, l.burst ? ` burst\u00a0${count(l.burst)}` : "")] : [`${count(l.requests)} at once`]) },
      { name: "by", title: "For each", kind: "wraps", from: "wide", text: (l) => `${l.by} ${l.keys}`, hint: (l) => `${count(l.keys)} are counted now`,
        cell: (l) => [l.by.join(" and "), "\u00a0", h("span", { class: "soft" }, count(l.keys))] },
      { name: "waiting", title: "Waiting", number: true, text: (l) => count(l.waiting ?? null), grave: (l) => (l.waiting ? "" : "soft"), hint: () => "Requests that wait for their turn" },
      { name: "refused", title: "Refused", number: true, text: (l) => count(refused(l)), grave: (l) => (refused(l) ? "" : "soft"), hint: (l) => (l.dry_run ? "Would have been refused since the edge began" : "Since the edge began") },
      { name: "fullest", title: "Fullest", kind: "gauges-column", from: "wide", text: (l) => JSON.stringify(l.fullest.map((each) => [each.key, share(each.share)])),
        cell: (l) => (l.fullest.length ? gauges(l, FULLEST) : h("span", { class: "soft" }, "empty")) },
    ],
  });
}

const does = (rule) => (rule.action === "allow" ? "allows" : rule.status === 444 ? "cuts" : `denies, ${rule.status}`);
const when = (rule) => rule.when.join(" and ") || "anything";

/** @param {() => any} known the overview */
export function ruleTable(known) {
  const denied = (rule) => refusedTimes(known(), rule.name)[rule.dry_run ? "would" : "refused"];
  return table({
    caption: "Rules of the firewall in their order", key: (each) => each.name,
    columns: [
      { name: "rule", title: "Rule", kind: "name-column named", hint: (r) => r.name, text: (r) => JSON.stringify([r.name, r.dry_run]), cell: (r) => [h("span", { class: "name" }, r.name), " ", dry(r)] },
      { name: "action", title: "Does", from: "wide", text: does },
      { name: "when", title: "What is", kind: "fill wraps", text: (r) => `${does(r)} ${when(r)}`, hint: (r) => r.when.join("\nand "),
        cell: (r) => [h("span", { class: "only-phone soft" }, does(r)), when(r)] },
      { name: "denied", title: "Denied", number: true, text: (r) => (r.action === "allow" ? "–" : count(denied(r))), grave: (r) => (r.action !== "allow" && denied(r) ? "" : "soft"), hint: (r) => (r.dry_run ? "Would have been denied since the edge began" : "Since the edge began") },
    ],
  });
}

/** @param {() => void} refresh */
export function banTable(refresh) {
  const left = (each) => duration(Math.max(0, Math.floor(each.until - Date.now() / 1000)));
  return table({
    caption: "Addresses that are banned, the latest first", key: (each) => each.address,
    columns: [
      { name: "address", title: "Address", kind: "wraps", text: (b) => `${b.address} ${b.why}`, cell: (b) => [h("span", { class: "mono" }, b.address), h("span", { class: "only-phone soft" }, b.why)] },
      { name: "why", title: "Why", kind: "fill", from: "wide", text: (b) => b.why, hint: (b) => b.why },
      { name: "since", title: "Since", number: true, from: "wide", text: (b) => String(b.since), cell: (b) => since(b.since), hint: (b) => clock(b.since) },
      { name: "until", title: "Ends in", number: true, text: left, hint: (b) => clock(b.until, false) },
      { name: "change", title: "", kind: "tight", text: (b) => b.address, cell: (b) => acting("Unban", () => unban(b.address, refresh), { class: "button change", "aria-label": `Unban ${b.address}` }) },
    ],
  });
}
