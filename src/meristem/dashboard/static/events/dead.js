// Dead letters: what was not handled and why, page by page, and the way back or out.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { choose, pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { clock, count, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, since } from "../parts/marks.js";
import { missing } from "../parts/missing.js";
import { table } from "../parts/table.js";
import { discard, redrive } from "./changes.js";
import { letterPanel } from "./letter.js";
import { named, places } from "./marks.js";

const MOST = 100;
const idOf = (letter) => `${letter.service}/${letter.id}`;

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Published by", "All publishers");
  const subscribers = choose(view, "subscriber", "Subscriber", "All subscribers");
  const types = choose(view, "type", "Type", "All types");
  const { count: counted } = heading(view, "Dead letters", search(view, "text", "Reason, id or data"), services.field, subscribers.field, types.field,
    pick(view, "since", "Published", [["", "Ever"], ["86400", "24 h"], ["3600", "1 h"]]));
  const tabs = places("/events/dead");
  /** @type {Set<string>} */
  const chosen = new Set();
  let page = null;
  let overview = null;

  const all = h("input", { type: "checkbox", "aria-label": "Choose all on this page", on: { change: () => {
    for (const each of page.letters) all.checked ? chosen.add(idOf(each)) : chosen.delete(idOf(each));
    choices();
  } } });
  const list = table({
    caption: "Dead letters, the newest first", columns: columns(view, all, (letter, on) => { on ? chosen.add(idOf(letter)) : chosen.delete(idOf(letter)); choices(); }),
    key: idOf, chosen: (each) => idOf(each) === view.get("letter"),
  });
  const acts = h("div", { class: "acts-line" });
  const beside = h("div", { class: "beside", hidden: true });
  const gaps = missing();
  const ways = h("div", { class: "ways" });
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(tabs.element, body);
  const split = h("div", { class: "split" }, h("div", { class: "stack" }, acts, list.element, ways), beside);

  const like = () => ({
    service: view.get("service"), subscriber: view.get("subscriber"), type: view.get("type"), text: view.get("text"),
    since: view.get("since") ? Math.floor(Date.now() / 1000) - Number(view.get("since")) : null,
  });
  const isSome = () => ["service", "subscriber", "type", "text", "since"].some((name) => view.get(name));

  const choices = () => {
    for (const each of [...chosen]) if (!page.letters.some((letter) => idOf(letter) === each)) chosen.delete(each);
    for (const field of list.element.querySelectorAll("tbody input")) field.checked = chosen.has(field.value);
    all.checked = chosen.size > 0 && chosen.size === page.letters.length;
    all.indeterminate = chosen.size > 0 && chosen.size < page.letters.length;
    acts.replaceChildren(...(chosen.size ? ofChosen() : ofAll()));
  };
  const ofChosen = () => {
    const letters = page.letters.filter((each) => chosen.has(idOf(each)));
    const which = { letters, done: () => { chosen.clear(); refresh(); } };
    return [
      h("span", { class: "acts-of" }, `${count(letters.length)} chosen`),
      acting(`Redrive ${count(letters.length)}`, () => redrive(which)), acting(`Discard ${count(letters.length)}`, () => discard(which)),
      h("button", { class: "button", type: "button", on: { click: () => { chosen.clear(); choices(); } } }, "Choose none"),
    ];
  };
  const ofAll = () => {
    const which = { like: like(), upTo: page.newest, total: page.total, isSome: isSome(), gone: goneOf(), done: () => refresh() };
    const what = isSome() ? `all ${count(page.total)} like that` : `all ${count(page.total)}`;
    return [acting(`Redrive ${what}`, () => redrive(which)), acting(`Discard ${what}`, () => discard(which))];
  };
  /** Whether all that is left for a subscriber that is gone is meant. */
  const goneOf = () => {
    const only = view.get("subscriber") && !["type", "text", "since"].some((name) => view.get(name));
    return only && overview?.subscribers.some((each) => each.kind === "gone" && each.name === view.get("subscriber"));
  };
  const show = () => {
    if (!page) return;
    counted.textContent = plural(page.total, "letter");
    gaps.show(page.silent, "what is kept there is");
    if (!page.letters.length) {
      body.replaceChildren(gaps.element, isSome() || view.get("before") ? empty("No dead letter is like that", "Choose less to see the others.")
        : empty("No dead letters", "Every event was handled, or is still tried. What a subscriber gives up is shown here with the reason."));
      return;
    }
    if (!split.isConnected) body.replaceChildren(gaps.element, split);
    list.show(page.letters);
    choices();
    ways.replaceChildren(
      ...(view.get("before") ? [h("a", { class: "button", href: view.url({ before: null }) }, "Newest")] : []),
      ...(page.more ? [h("a", { class: "button", href: view.url({ before: written(page.next), letter: null }) }, "Older letters")] : []));
    letters.show(page.letters);
  };
  const letters = letterPanel(view, beside, () => refresh());
  const offer = () => {
    if (!overview) return;
    tabs.show(overview.subscribers);
    services.offer(overview.outboxes.filter((each) => Object.keys(each.dead).length).map((each) => each.service).sort());
    subscribers.offer(overview.subscribers.filter((each) => each.dead).map((each) => each.name).sort());
    types.offer(overview.events.map((each) => each.type));
  };

  const refresh = view.follow(["figures"], (signal) => Promise.all([
    ask("Events/dead", { like: like(), before: read(view.get("before")), most: MOST }, signal),
    ask("Events/overview", { service: "" }, signal),
  ]), ([found, told]) => { page = found; overview = told; offer(); show(); }, { pause: 4000 });
  let asked = view.url({ letter: null });
  view.watch(() => {
    const now = view.url({ letter: null });
    if (now !== asked) { chosen.clear(); refresh(); } else show();
    asked = now;
  });
  view.onEscape(() => Boolean(view.get("letter")) && (view.set({ letter: null }), true));
}

/** Where a page ended, in an address. @param {Record<string, number>} numbers by service */
const written = (numbers) => Object.entries(numbers).map(([name, number]) => `${name}:${number}`).join(" ");

/** @param {string} text */
function read(text) {
  const found = Object.fromEntries(text.split(" ").map((each) => each.split(":")).filter(([name, number]) => name && Number(number)).map(([name, number]) => [name, Number(number)]));
  return Object.keys(found).length ? found : null;
}

function columns(view, all, choose) {
  return [
    { name: "chosen", title: "", kind: "tight choice", head: all, text: (l) => idOf(l),
      cell: (l) => h("input", { type: "checkbox", value: idOf(l), "aria-label": `Choose ${idOf(l)}`, on: { change: (event) => choose(l, event.target.checked) } }) },
    { name: "event", title: "Event", text: (l) => `${l.type} ${l.subscriber} ${l.error}`, hint: (l) => `${l.type} of ${l.subscriber}`, kind: "letter", link: (l) => view.url({ letter: idOf(l) }),
      cell: (l) => [named(l.type)[0], service(l.subscriber), h("span", { class: "soft only-phone reason" }, l.error ?? "")] },
    { name: "reason", title: "Reason", kind: "fill", from: "wide", text: (l) => l.error ?? "–", hint: (l) => l.error ?? "" },
    { name: "publisher", title: "Published by", from: "wider", text: (l) => idOf(l), cell: (l) => [service(l.service), h("span", { class: "soft" }, ` ${l.id}`)] },
    { name: "attempts", title: "Attempts", number: true, from: "wider", text: (l) => count(l.attempts) },
    { name: "created", title: "Published", number: true, text: (l) => String(l.created), cell: (l) => since(l.created), hint: (l) => clock(l.created) },
    { name: "trace", title: "", kind: "tight", from: "wide", text: (l) => l.trace_id, cell: (l) => (l.trace_id ? h("a", { href: `/traces/${encodeURIComponent(l.trace_id)}`, "aria-label": `Trace of ${idOf(l)}` }, "trace") : h("span", {})) },
  ];
}
