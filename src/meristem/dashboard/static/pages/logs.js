// Logs: what all processes said, as it comes.

import { ask } from "../parts/ask.js";
import { choose, search, toggle } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { lines } from "../parts/lines.js";
import { mark } from "../parts/live.js";

const MOST = 200;
const KEPT = 2000; // lines on the page; more make it slow, and nobody reads them
const LEVELS = ["debug", "info", "warning", "error", "critical"];

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const level = choose(view, "level", "Level", "All levels");
  const services = choose(view, "service", "Service", "All services");
  const processes = choose(view, "process", "Process", "All processes");
  const follow = toggle(view, "follow", "Follow", () => true);
  level.offer(LEVELS.slice(1));
  const { count: counted } = heading(view, "Logs", search(view, "text", "Text of a line"), level.field, services.field, processes.field, follow.button);
  const facets = h("div", { class: "facets", role: "group", "aria-label": "What the lines shown are of" });
  const list = lines({ label: "Lines, the newest first" });
  const more = h("button", { class: "button more", type: "button", hidden: true }, "Older lines");
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(facets, body);

  /** @type {any[]} the newest first */
  let shown = [];
  let anew = true;
  let link = ""; // a system that was started anew numbers its lines from the beginning
  const wanted = () => ({ text: view.get("text"), level: view.get("level"), service: view.get("service"), process: view.get("process"), trace_id: view.get("trace"), most: MOST });

  const show = () => {
    counted.textContent = shown.length ? `${count(shown.length)}${more.hidden ? "" : "+"} lines` : "";
    if (!shown.length) {
      body.replaceChildren(empty("No line is like that", view.query.size
        ? "Choose less, or wait: what comes is shown by itself." : "What the processes of this system log is shown here by itself."));
    } else if (!list.element.isConnected) body.replaceChildren(list.element, more);
    list.show(shown);
    showFacets(view, facets, shown);
  };

  const load = async (signal) => {
    const same = link === mark(["times"]);
    link = mark(["times"]);
    if (anew || !same || !shown.length) return { fresh: true, found: await ask("logs", wanted(), signal) };
    if (!follow.on()) return { found: [] };
    // Only what followed, and all of it, unless more came than is ever shown.
    const found = [];
    let after = shown[0].id;
    for (;;) {
      const next = await ask("logs", { ...wanted(), after }, signal);
      found.push(...next);
      if (next.length < MOST || found.length >= KEPT) return { found };
      after = next.at(-1).id;
    }
  };
  const refresh = view.follow(["logs"], load, ({ fresh, found }) => {
    if (fresh) more.hidden = found.length < MOST;
    shown = fresh ? found : [...found.reverse(), ...shown].slice(0, KEPT);
    anew = false;
    if (fresh || found.length) show();
  });
  view.watch(() => { anew = true; refresh(); });

  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const found = await ask("logs", { ...wanted(), before: shown.at(-1).id }, view.signal);
      if (anew) return;
      more.hidden = found.length < MOST;
      shown = [...shown, ...found];
      show();
    } catch (error) {
      if (!view.signal.aborted) view.trouble(error, () => more.click());
    } finally {
      more.disabled = false;
    }
  });

  ask("processes", {}, view.signal).then((known) => {
    services.offer([...new Set(known.flatMap((each) => [...each.services, ...each.apps]))].sort());
    processes.offer([...new Set(known.map((each) => each.name))].sort());
  }, () => {});
}

/** Of what the lines are that are shown, most first; each narrows them to it, or no longer. */
function showFacets(view, element, shown) {
  const of = (name, limit) => {
    const sums = new Map();
    for (const line of shown) if (line[name]) sums.set(line[name], (sums.get(line[name]) ?? 0) + 1);
    const sorted = [...sums].sort((one, other) => other[1] - one[1]).slice(0, limit);
    return sorted.map(([value, sum]) => {
      const chosen = view.get(name) === value;
      return h("a", { class: "facet", "data-level": name === "level" ? value : null, "aria-current": chosen ? "true" : null, href: view.url({ [name]: chosen ? null : value }) }, value, h("span", { class: "soft" }, count(sum)));
    });
  };
  const trace = view.get("trace");
  const focused = document.activeElement?.closest?.(".facet")?.getAttribute("href");
  element.replaceChildren(
    ...(trace ? [h("a", { class: "facet", "aria-current": "true", href: view.url({ trace: null }) }, `trace ${trace.slice(0, 8)}…`, h("span", { "aria-hidden": "true" }, "×"))] : []),
    ...of("level", 5), ...of("service", 8),
  );
  if (focused) [...element.children].find((each) => each.getAttribute("href") === focused)?.focus();
}
