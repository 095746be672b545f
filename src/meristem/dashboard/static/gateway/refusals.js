// Who was refused, by whom and why: those alike together, or one by one.

import { acting } from "../parts/acting.js";
import { h } from "../parts/dom.js";
import { clock, count } from "../parts/format.js";
import { since } from "../parts/marks.js";
import { table } from "../parts/table.js";
import { ban } from "./changes.js";
import { crowdOf, dry, routeName } from "./words.js";

/**
 * Both lists of refusals in one place, of which that is shown which is `apart` or not.
 * @param {() => any} known the overview @param {() => boolean} apart @param {() => void} refresh
 */
export function refusalLists(known, apart, refresh) {
  const together = table({ caption: "Who was refused, and why, the most often first", key: groupOf, columns: columns(known, refresh, false) });
  const each = table({ caption: "Requests that were refused, the latest first", key: (r) => `${r.time} ${r.client} ${r.by} ${r.path}`, columns: columns(known, refresh, true) });
  const element = h("div", { class: "stack" });
  return {
    element,
    /** @param {any[]} rows */
    show(rows) {
      const list = apart() ? each : together;
      if (!list.element.isConnected || !element.contains(list.element)) element.replaceChildren(list.element);
      list.show(rows);
    },
  };
}

const groupOf = (refusal) => [refusal.client, refusal.user, refusal.by, refusal.dry_run].join(" ");

/** Refusals of one client by one check as one, which is the latest of them and says how many `times` there were. @param {any[]} refusals the latest first */
export function together(refusals) {
  /** @type {Map<string, any>} */
  const groups = new Map();
  for (const each of refusals) {
    const group = groups.get(groupOf(each));
    group ? group.times++ : groups.set(groupOf(each), { ...each, times: 1 });
  }
  return [...groups.values()].sort((one, other) => other.times - one.times);
}

function columns(known, refresh, apart) {
  let seen = null, banned = new Set();
  const isBanned = (each) => {
    if (seen !== known()) { // a thousand bans are looked at once, and not for each row
      seen = known();
      banned = new Set(seen.bans.map((one) => crowdOf(one.address)));
    }
    return banned.has(crowdOf(each.client));
  };
  const mayBan = (each) => known().bans_there && each.client && !isBanned(each);
  const request = (each) => `${each.method} ${each.path}`;
  return [
    { name: "who", title: "Who", kind: "who-column", text: (r) => `${r.client} ${r.user}`, hint: (r) => [r.client, r.user].filter(Boolean).join(" as "),
      cell: (r) => [h("span", { class: "mono" }, r.client || "a Unix socket"), r.user ? h("span", { class: "soft" }, ` ${r.user}`) : ""] },
    { name: "by", title: "By", from: "wide", text: (r) => JSON.stringify([r.by, r.dry_run]), cell: (r) => [r.by, " ", dry(r)] },
    { name: "why", title: "Why", kind: "fill wraps", text: (r) => JSON.stringify([r.why, request(r), r.by, r.dry_run]), hint: (r) => r.why,
      cell: (r) => [r.why || "–", h("span", { class: "soft only-phone" }, h("span", { class: "mono one-line" }, request(r)), dry(r))] },
    { name: "what", title: apart ? "Request" : "Latest request", kind: "request-column", from: "wide", text: request, hint: request, cell: (r) => h("span", { class: "mono" }, request(r)) },
    { name: "route", title: "Route", from: "wider", text: (r) => routeName(r.route), grave: (r) => (r.route === "*" ? "soft" : "") },
    { name: "status", title: "Answer", number: true, from: "wide", text: (r) => (r.dry_run ? "let in" : r.status === 444 ? "cut" : String(r.status)), grave: (r) => (r.dry_run ? "soft" : "") },
    ...(apart ? [] : [{ name: "times", title: "Times", number: true, text: (r) => count(r.times) }]),
    { name: "when", title: apart ? "When" : "Last", number: true, from: apart ? "" : "wide", text: (r) => String(r.time), cell: (r) => since(r.time), hint: (r) => clock(r.time) },
    { name: "change", title: "", kind: "tight", from: "wide", text: (r) => `${r.client} ${mayBan(r)}`,
      cell: (r) => (mayBan(r) ? [acting("Ban", () => ban(r.client, refresh), { class: "button change", "aria-label": `Ban ${r.client}` })] : isBanned(r) ? [h("span", { class: "soft" }, "banned")] : []) },
  ];
}
