// Sagas: which go on, wait or are parked, and the one that a number belongs to.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { confirm } from "../parts/confirm.js";
import { choose, pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { clock, count, duration, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, since } from "../parts/marks.js";
import { missing } from "../parts/missing.js";
import { table } from "../parts/table.js";
import { GOING, STATES, placeOf, seconds, stateOf, until } from "../saga/words.js";

const MOST = 100;
const AGES = [["", "Any time"], ["3600", "1 h"], ["86400", "1 d"], ["604800", "7 d"]];

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const names = choose(view, "name", "Saga", "All sagas");
  const fields = choose(view, "field", "Search field", "Any field");
  const { count: counted } = heading(view, "Sagas",
    search(view, "text", "Id or searched value"), fields.field, services.field, names.field, pick(view, "age", "Began within", AGES));
  const states = h("div", { class: "facets", role: "group", "aria-label": "State" });
  const gaps = missing();
  const list = table({ caption: "Sagas, the newest first", columns: columns(), key: (each) => `${each.service} ${each.saga.id}` });
  const more = h("button", { class: "button more", type: "button", hidden: true }, "Older sagas");
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(states, gaps.element, body);

  /** @type {any[]} */
  let shown = [];
  let known = [];
  let paged = false; // older ones were asked for, so none that is shown goes
  let begins = 0; // another choice makes what is older another, too
  const wanted = () => {
    const [text, field, age, state] = ["text", "field", "age", "state"].map((name) => view.get(name));
    return {
      service: view.get("service"), name: view.get("name"), states: STATES.includes(state) ? [state] : [], most: MOST,
      text: field ? "" : text, where: field && text ? { [field]: text } : {},
      since: age ? new Date(Date.now() - Number(age) * 1000).toISOString() : null,
    };
  };

  const offer = () => {
    services.offer(known.filter((each) => each.names.length).map((each) => each.service));
    const chosen = known.filter((each) => !view.get("service") || each.service === view.get("service"));
    names.offer([...new Set(chosen.flatMap((each) => each.names))].sort());
    fields.offer([...new Set(chosen.flatMap((each) => each.fields.map((field) => field.field)))].sort());
    fields.field.hidden = !known.some((each) => each.fields.length);
    states.replaceChildren(...facets(view, chosen));
    const parked = chosen.reduce((sum, each) => sum + (each.counts.parked ?? 0), 0);
    if (view.get("state") === "parked" && parked > 1) states.append(retryAll(view, chosen.map((each) => each.service), parked, refresh));
  };
  const show = (found) => {
    shown = found;
    counted.textContent = shown.length ? `${count(shown.length)}${more.hidden ? "" : "+"} found` : "";
    if (!shown.length) {
      body.replaceChildren(view.query.size ? empty("No saga is like that", view.get("text")
        ? "A search finds whole values of the fields that sagas declare, and begins of ids." : "Choose less to see the others.")
        : empty("No sagas yet", "A saga that begins is shown here by itself; docs/sagas.md tells how to write one."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(list.element, more);
    list.show(shown);
  };

  const refresh = view.follow(["figures"], (signal) => Promise.all([
    ask("SagaOperations/find", wanted(), signal), ask("SagaOperations/overview", {}, signal),
  ]), ([found, overview]) => {
    known = overview.services;
    offer();
    const gone = [...new Set([...found.silent, ...overview.silent])].sort();
    gaps.show(gone, "their sagas are");
    if (!paged) more.hidden = !found.more;
    show(paged ? joined(found.sagas, shown) : found.sagas);
  }, { pause: 2000 });
  view.watch(() => { paged = false; begins += 1; offer(); refresh(); });

  more.addEventListener("click", async () => {
    const asked = begins;
    const last = shown.at(-1).saga;
    more.disabled = true;
    try {
      const found = await ask("SagaOperations/find", { ...wanted(), after: { created: last.created, id: last.id } }, view.signal);
      if (asked !== begins) return;
      paged = true;
      more.hidden = !found.more;
      show(joined(shown, found.sagas));
    } catch (error) {
      if (!view.signal.aborted) view.trouble(error, () => more.click());
    } finally {
      more.disabled = false;
    }
  });
}

/** Those that were asked for now, then those of the others that are not among them. */
function joined(newer, others) {
  const known = new Set(newer.map((each) => each.saga.id));
  return [...newer, ...others.filter((each) => !known.has(each.saga.id))];
}

function facets(view, chosen) {
  const facet = (state, text, number) => h("a", {
    class: "facet", href: view.url({ state }), "data-state": state, "aria-current": view.get("state") === state ? "true" : null,
  }, text, number === null ? null : h("strong", { class: state === "parked" && number ? "warn" : null }, count(number)));
  // How many have ended nobody counts: that would be a look at all there ever were.
  const many = (state) => (GOING.includes(state) || state === "parked" ? chosen.reduce((sum, each) => sum + (each.counts[state] ?? 0), 0) : null);
  return [facet("", "All", null), ...STATES.map((state) => facet(state, state[0].toUpperCase() + state.slice(1), many(state)))];
}

/** Some at once, service after service, so that it can be seen how far it is, and stopped. */
async function retried(services, name, part) {
  let number = 0;
  const silent = [];
  for (const of of services) {
    let after = null;
    do {
      if (part.isStopped) return `Stopped: ${plural(number, "saga")} will go on, the others are parked as before.`;
      try {
        const { sagas, next } = await ask("SagaOperations/retrySome", { service: of, name, after });
        number += sagas.length;
        after = next;
      } catch (error) {
        if (error.code !== "unavailable") throw error;
        silent.push(of);
        after = null;
      }
      part.so(`${plural(number, "saga")} will go on…`);
    } while (after);
  }
  return `${plural(number, "saga")} will go on${silent.length ? `; ${silent.join(", ")} could not be asked` : ""}.`;
}

function retryAll(view, services, parked, refresh) {
  const [of, name] = [view.get("service"), view.get("name")];
  const which = [name && `of the name ${name}`, of && `of ${of}`].filter(Boolean).join(" ");
  return acting("Retry all…", async () => {
    const isDone = await confirm({
      title: `Retry all parked sagas${which && ` ${which}`}?`,
      says: [`Each of them goes on where it stopped${name ? "" : `; ${count(parked)} are parked now`}. One whose problem is not mended is parked again.`],
      action: "Retry all",
      work: (part) => retried(services, name, part),
    });
    if (isDone) refresh();
  }, { class: "button push" });
}

function columns() {
  return [
    { name: "saga", title: "Saga", text: (e) => `${e.saga.name} ${e.saga.id}`, link: (e) => placeOf(e.service, e.saga.id), hint: (e) => e.saga.id,
      cell: (e) => [h("span", { class: "name" }, e.saga.name), h("span", { class: "mono soft" }, e.saga.id.slice(0, 8))] },
    { name: "state", title: "State", text: (e) => `${e.saga.state} ${e.saga.cancelled}`, cell: (e) => stateOf(e.saga) },
    { name: "service", title: "Service", from: "wide", text: (e) => e.service, cell: (e) => service(e.service) },
    { name: "why", title: "Problem, or until when it waits", kind: "fill", from: "wide", text: (e) => whyOf(e.saga), hint: (e) => whyOf(e.saga), grave: (e) => (e.saga.problem || e.saga.trying ? "" : "soft") },
    { name: "took", title: "Took", number: true, from: "wide", text: (e) => tookOf(e.saga), hint: (e) => `last changed ${clock(seconds(e.saga.updated))}` },
    { name: "began", title: "Began", number: true, text: (e) => e.saga.created, cell: (e) => since(seconds(e.saga.created)), hint: (e) => clock(seconds(e.saga.created)) },
  ];
}

function whyOf(saga) {
  if (saga.state === "waiting" && saga.wake_at) return `until ${clock(seconds(saga.wake_at), false)}, ${until(seconds(saga.wake_at))}`;
  return saga.problem ?? saga.trying ?? saga.error ?? "";
}

const tookOf = (saga) => (saga.state === "done" || saga.state === "failed" ? duration(Math.max(0, seconds(saga.updated) - seconds(saga.created))) : "–");
