// One subscriber beside the list: what it hears, what waits for it in each outbox, and why.

import { h } from "../parts/dom.js";
import { clock, count, plural } from "../parts/format.js";
import { service, since } from "../parts/marks.js";
import { panel } from "../parts/panel.js";
import { lettersOf, named, subscriberMark } from "./marks.js";

/** @param {import("../parts/view.js").View} view @param {any} one @param {any} overview */
export function subscriberPanel(view, one, overview) {
  const hears = overview.events.filter((each) => each.subscribers.includes(one.name) || each.webhooks.includes(one.name));
  const owed = overview.outboxes.flatMap((outbox) => outbox.waiting.filter((each) => each.subscriber === one.name).map((each) => ({ ...each, publisher: outbox.service })));
  const dead = overview.outboxes.filter((outbox) => outbox.dead[one.name]).map((outbox) => [outbox.service, outbox.dead[one.name]]);
  return panel(h("span", { class: "panel-title" }, subscriberMark(one)), () => view.set({ subscriber: null }),
    one.kind === "service" ? h("p", { class: "line-of" }, h("a", { href: `/logs?service=${encodeURIComponent(one.name)}` }, "Logs"), h("a", { href: `/traces?service=${encodeURIComponent(one.name)}` }, "Traces"), h("a", { href: `/map?node=service:${encodeURIComponent(one.name)}` }, "On the map")) : null,
    one.kind === "gone" ? h("p", { class: "warn" }, "It is no part of this system any more. What it is owed waits for it to come back; discarding all of its dead letters gives that up as well.") : null,
    one.kind === "broker" ? h("p", { class: "soft" }, "What waits here has not been handed to the broker yet.") : null,
    h("section", {}, h("h3", {}, "Waiting in outboxes"),
      owed.length ? h("ul", { class: "owed" }, owed.map(waitingLine)) : h("p", { class: "soft" }, "Nothing waits for it."),
      one.lag ? h("p", {}, `${plural(one.lag, "event")} more ${one.lag === 1 ? "is" : "are"} with the broker.`) : null),
    h("section", {}, h("h3", {}, "Dead letters"),
      dead.length ? h("ul", { class: "pairs" }, dead.map(([publisher, number]) => h("li", {},
        h("a", { href: lettersOf({ service: publisher, subscriber: one.name }) }, "of ", service(publisher)), h("span", { class: "number bad" }, count(number)))))
        : h("p", { class: "soft" }, "None.")),
    hears.length ? h("section", {}, h("h3", {}, "Hears"), h("ul", { class: "pairs" }, hears.map((each) => h("li", {}, h("span", { title: each.type }, named(each.type)), h("span", { class: "services" }, each.publishers.map(service)))))) : null);
}

function waitingLine(each) {
  return h("li", {},
    h("div", { class: "line-of" }, service(each.publisher), h("strong", {}, plural(each.count, "event")), h("span", { class: "soft" }, "the oldest ", since(each.oldest))),
    each.failed ? h("p", { class: "warn" }, `${count(each.failed)} failed before`, each.due_at === null ? "" : `, next attempt ${clock(each.due_at, false)}`) : null,
    each.error ? h("pre", { class: "said" }, each.error) : null);
}
