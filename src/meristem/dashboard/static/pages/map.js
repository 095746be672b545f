// Map: what the system consists of, who talks to whom, and how that goes.

import { ask } from "../parts/ask.js";
import { search, toggle } from "../parts/controls.js";
import { h, icon } from "../parts/dom.js";
import { plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { details } from "../map/details.js";
import { drawing } from "../map/drawing.js";
import { STATES } from "../map/kinds.js";

const FEW = 12; // services; with so few, their databases are shown unasked

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  let system = null;
  let more = null; // what is asked for the node that is open
  const databases = toggle(view, "databases", "Databases", () => !system || system.nodes.filter((each) => each.kind === "service").length <= FEW);
  const field = search(view, "text", "Part of the system");
  const { count } = heading(view, "Map", field, databases.button);
  const url = (id) => view.url({ node: id });
  const map = drawing({ signal: view.signal, url });
  const beside = h("div", { class: "beside", hidden: true });
  const lines = legend();
  const stage = h("div", { class: "stage" }, map.element, controls(map.view), lines);
  const split = h("div", { class: "split map-split" }, stage, beside);
  const body = h("div", { class: "stack grow" }, waiting());
  view.root.append(body);

  const close = () => {
    const id = view.get("node");
    view.set({ node: null });
    map.focus(id);
  };
  const show = async () => {
    if (!system) return;
    databases.show();
    const services = system.nodes.filter((each) => each.kind === "service").length;
    count.textContent = `${plural(services, "service")}, ${plural(system.edges.length, "connection")}`;
    if (!system.nodes.length) {
      body.replaceChildren(empty("This system is empty", "Give it a service; it is shown here by itself."));
      return;
    }
    const isNew = !split.isConnected;
    if (isNew) {
      body.replaceChildren(split);
      lines.open = innerWidth > 760 && services <= FEW; // of a large map it would cover too much
    }
    const node = system.nodes.find((each) => each.id === view.get("node"));
    showBeside(node);
    await map.show(system, { databases: databases.on(), text: view.get("text"), chosen: node?.id ?? "" });
    if (isNew && covers(lines, map.element)) lines.open = false;
  };
  const showBeside = (node) => {
    const focused = beside.contains(document.activeElement) ? [...beside.querySelectorAll("a, button, summary")].indexOf(document.activeElement) : -1;
    const unfolded = [...beside.querySelectorAll("details")].map((each) => each.open);
    const same = beside.dataset.node === node?.id;
    const top = beside.firstElementChild?.scrollTop ?? 0;
    beside.hidden = !node;
    beside.dataset.node = node?.id ?? "";
    beside.replaceChildren(...(node ? [details(system, node, more?.node === node.id ? more : null, { close, url })] : []));
    if (!same) return;
    [...beside.querySelectorAll("details")].forEach((each, at) => { each.open = unfolded[at] ?? false; });
    if (node) beside.firstElementChild.scrollTop = top;
    if (focused >= 0) beside.querySelectorAll("a, button, summary")[focused]?.focus();
  };

  const load = async (signal) => {
    const node = view.get("node");
    const [found, operations, processes, errors, settings] = await Promise.all([
      ask("system", {}, signal), ...(node ? [ask("operations", {}, signal), ask("processes", {}, signal), ask("errors", { most: 200 }, signal), ask("settings", {}, signal)] : []),
    ]);
    return { found, more: node ? { node, operations, processes, errors, settings } : null };
  };
  const refresh = view.follow(["figures", "processes"], load, (told) => { system = told.found; more = told.more; return show(); }, { pause: 2000 });
  view.watch(() => {
    show();
    if (view.get("node") && more?.node !== view.get("node")) refresh();
  });
  view.onEscape(() => Boolean(view.get("node")) && (close(), true));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    map.focus(map.first());
  });
  listen(map.view, view.signal);
}

function listen(port, signal) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, select")) return;
    const step = 80;
    const keys = { "+": port.nearer, "=": port.nearer, "-": port.farther, 0: port.fit };
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.shiftKey && moves[event.key]) port.move(...moves[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  }, { signal });
}

function controls(port) {
  const button = (text, path, work) => h("button", { class: "quiet", type: "button", "aria-label": text, title: text, on: { click: work } }, icon(path));
  return h("div", { class: "map-controls card" },
    button("Nearer (+)", "M8 3v10M3 8h10", port.nearer), button("Farther (−)", "M3 8h10", port.farther),
    button("All of it (0)", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4", port.fit));
}

function legend() {
  const line = (state, text) => h("li", { "data-state": state }, text);
  return h("details", { class: "map-legend card" }, h("summary", {}, "Lines"), h("ul", {},
    line("called", STATES.called), line("never", STATES.never), line("undeclared", STATES.undeclared), line("event", "events"), line("failing", "1 % or more fail")));
}

/** Whether the legend lies over a part of the system, whose name would be hidden. */
function covers(legend, map) {
  const { right, top } = legend.getBoundingClientRect();
  return [...map.querySelectorAll(".node")].some((each) => {
    const box = each.getBoundingClientRect();
    return box.left < right && box.bottom > top;
  });
}
