// Events: who publishes and hears what, and how each subscriber is doing.

import { ask } from "../parts/ask.js";
import { pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { ago, clock, count, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, since } from "../parts/marks.js";
import { missing } from "../parts/missing.js";
import { table } from "../parts/table.js";
import { lettersOf, named, places, subscriberMark } from "../events/marks.js";
import { subscriberPanel } from "../events/subscriber.js";
import { eventHistory } from "../events/history.js";
import { minutes } from "../figures/charts.js";

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const { count: counted } = heading(view, "Events", search(view, "text", "Event or service"),
    pick(view, "show", "Subscribers shown", [["", "All"], ["owed", "With something waiting"], ["dead", "With dead letters"]]), minutes(view));
  const tabs = places("/events");
  const sums = h("div", { class: "summary" });
  const beside = h("div", { class: "beside", hidden: true });
  const subscribers = table({
    caption: "Subscribers and what waits for them", columns: subscriberColumns(view), key: (each) => each.name,
    chosen: (each) => each.name === view.get("subscriber"),
  });
  const types = table({ caption: "Events, by whom they are published and heard", columns: typeColumns(), key: (each) => each.type });
  const history = eventHistory(view);
  const gaps = missing();
  const none = h("div", { class: "missings" });
  const body = h("div", { class: "stack" }, waiting());
  const lists = h("div", { class: "stack" }, h("h2", {}, "Subscribers"), none, subscribers.element, h("h2", {}, "Types"), types.element);
  view.root.append(tabs.element, body);
  let known = null;
  let drawn = "";

  const show = () => {
    if (!known) return;
    tabs.show(known.subscribers);
    gaps.show(known.silent, "what is kept there is", known.unreachable && `${known.unreachable}; the lag is not known.`);
    if (!known.events.length && !known.subscribers.length) {
      body.replaceChildren(gaps.element, empty("No events", "No service of this system publishes or hears any; `@on(Event)` makes a method hear one."));
      return;
    }
    const text = view.get("text").toLowerCase();
    const wanted = view.get("show");
    const heard = known.events.filter((each) => [each.type, ...each.publishers, ...each.subscribers, ...each.webhooks].some((name) => name.toLowerCase().includes(text)));
    const hearing = new Set(heard.flatMap((each) => [...each.subscribers, ...each.webhooks]));
    const shown = known.subscribers.filter((each) => (each.name.toLowerCase().includes(text) || hearing.has(each.name))
      && (!wanted || (wanted === "dead" ? each.dead : each.waiting || each.lag || each.failed)));
    counted.textContent = `${plural(heard.length, "type")}, ${plural(shown.length, "subscriber")}`;
    const chosen = known.subscribers.find((each) => each.name === view.get("subscriber"));
    sums.replaceChildren(figure("Subscriber", chosen ? chosen.name : "all"), ...summary(chosen ? [chosen] : known.subscribers));
    if (!lists.isConnected) body.replaceChildren(gaps.element, sums, history.element, h("div", { class: "split" }, lists, beside));
    none.replaceChildren(...(shown.length ? [] : [empty("No subscriber is like that", "Choose less to see the others.")]));
    subscribers.element.hidden = !shown.length;
    subscribers.show(shown);
    types.show(heard);
    detail();
  };
  const detail = () => {
    const name = view.get("subscriber");
    const one = known.subscribers.find((each) => each.name === name);
    beside.hidden = !one;
    const now = one ? JSON.stringify([one, known.outboxes]) : "";
    if (now !== drawn) beside.replaceChildren(...(one ? [subscriberPanel(view, one, known)] : []));
    drawn = now;
  };
  view.follow(["figures"], (signal) => ask("Events/overview", { service: "" }, signal), (found) => { known = found; show(); }, { pause: 2500 });
  view.watch(show);
  view.onEscape(() => Boolean(view.get("subscriber")) && (view.set({ subscriber: null }), true));
}

function summary(subscribers) {
  const sum = (name) => subscribers.reduce((total, each) => total + (each[name] ?? 0), 0);
  const oldest = Math.min(...subscribers.map((each) => each.oldest ?? Infinity));
  const lags = subscribers.filter((each) => each.lag !== null);
  return [
    figure("Waiting", count(sum("waiting")), { more: oldest < Infinity ? h("span", { class: "soft", title: clock(oldest) }, `oldest ${ago(oldest)}`) : null }),
    figure("Failed before", count(sum("failed")), { grave: sum("failed") ? "warn" : "" }),
    ...(lags.length ? [figure("Lag at the broker", count(lags.reduce((total, each) => total + each.lag, 0)))] : []),
    figure("Dead letters", count(sum("dead")), { grave: sum("dead") ? "bad" : "" }),
  ];
}

function subscriberColumns(view) {
  return [
    { name: "subscriber", title: "Subscriber", kind: "fill name-column", text: (s) => `${s.name} ${s.kind}`, link: (s) => view.url({ subscriber: s.name }), cell: (s) => subscriberMark(s) },
    { name: "waiting", title: "Waiting", number: true, text: (s) => count(s.waiting), grave: (s) => (s.waiting ? "" : "soft") },
    { name: "oldest", title: "Oldest", number: true, from: "wide", text: (s) => String(s.oldest), cell: (s) => (s.oldest === null ? h("span", { class: "soft" }, "–") : since(s.oldest)) },
    { name: "failed", title: "Failed", number: true, text: (s) => count(s.failed), grave: (s) => (s.failed ? "warn" : "soft") },
    { name: "lag", title: "Lag", number: true, from: "wide", text: (s) => count(s.lag), grave: (s) => (s.lag ? "" : "soft"), hint: () => "What a broker has for it and it has not taken in" },
    { name: "dead", title: "Dead", number: true, text: (s) => count(s.dead), grave: (s) => (s.dead ? "bad" : "soft"),
      cell: (s) => (s.dead ? h("a", { class: "bad", href: lettersOf({ subscriber: s.name }), "aria-label": `${plural(s.dead, "dead letter")} of ${s.name}` }, count(s.dead)) : h("span", {}, "0")) },
  ];
}

function typeColumns() {
  return [
    { name: "type", title: "Event", kind: "event-type", text: (e) => e.type, hint: (e) => e.type, cell: (e) => named(e.type) },
    { name: "publishers", title: "Published by", from: "wide", text: (e) => `${e.publishers} ${e.accepted_from}`,
      cell: (e) => h("span", { class: "services wrap" }, e.publishers.map(service), e.accepted_from.map((role) => h("span", { class: "badge", title: `Accepted from users with the role ${role}` }, `outside: ${role}`)),
        e.publishers.length || e.accepted_from.length ? null : h("span", { class: "soft" }, "–")) },
    { name: "subscribers", title: "Heard by", kind: "fill", text: (e) => `${e.subscribers} ${e.webhooks}`,
      cell: (e) => h("span", { class: "services wrap" }, e.subscribers.map(service), e.webhooks.map((name) => h("span", { class: "badge" }, `webhook ${name}`)),
        e.subscribers.length || e.webhooks.length ? null : h("span", { class: "soft" }, "nobody")) },
  ];
}
