// Processes: what runs where, how it fares, and what it takes, now and over time.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { bytes, clock, count, duration, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, status, withCode } from "../parts/marks.js";
import { table } from "../parts/table.js";
import { minutes } from "../figures/charts.js";
import { change, changesList, restartAll } from "../process/changes.js";
import { processHistory, processors } from "../process/history.js";

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const all = acting("Restart all", () => restartAll(refresh), { hidden: true });
  const { count: counted } = heading(view, "Processes", search(view, "text", "Process or service"),
    pick(view, "status", "Status", [["", "All"], ["ready", "Ready"], ["not", "Not ready"]]), minutes(view), all);
  const sums = h("div", { class: "summary" });
  const body = h("div", { class: "stack" }, waiting());
  const history = processHistory(view);
  view.root.append(body);
  let known = null;
  let most = 0;
  let control = { refusal: "", parts: [], changes: [] };
  const latest = h("div", {});
  const refusal = h("p", { class: "soft" });
  const list = table({
    caption: "Replicas of processes, and programs", columns: columns(view, () => most, (part) => change(part, refresh)), key: (each) => `${each.name}#${each.replica}`,
    chosen: (each) => each.name === view.get("process"),
  });

  const show = () => {
    if (!known) return;
    const text = view.get("text").toLowerCase();
    const wanted = view.get("status");
    const shown = known.filter((each) => (!wanted || (each.status === "ready") === (wanted === "ready"))
      && [each.name, ...each.services, ...each.apps].some((name) => name.toLowerCase().includes(text)));
    most = Math.max(...known.map((each) => each.memory ?? 0));
    counted.textContent = plural(shown.length, "replica");
    if (!shown.length) {
      body.replaceChildren(empty("No process is like that", "Choose less to see the others."));
      return;
    }
    sums.replaceChildren(...summary(known));
    if (!list.element.isConnected) body.replaceChildren(sums, history.element, latest, list.element, refusal);
    latest.hidden = !control.changes.length;
    latest.replaceChildren(...[changesList(control.changes)].filter(Boolean));
    refusal.replaceChildren(...(control.refusal ? withCode(`Nothing can be restarted or scaled here: ${control.refusal}.`) : []));
    all.hidden = Boolean(control.refusal);
    list.show(shown);
  };
  const load = (signal) => Promise.all([ask("processes", {}, signal), ask("ProcessControl/supervision", {}, signal)]);
  const refresh = view.follow(["processes", "figures"], load, ([found, controlled]) => {
    control = controlled;
    // What is wrong comes first within the order of names.
    known = [...found].sort((one, other) => (one.status === "ready") - (other.status === "ready") || one.name.localeCompare(other.name) || one.replica - other.replica);
    // Once for all replicas of a part, at the first of its rows.
    for (const part of control.parts) {
      const first = known.find((each) => each.name === part.name && each.is_program === part.is_program);
      if (first) first.part = part;
    }
    show();
  }, { pause: 2000 });
  view.watch(show);
  view.onEscape(() => Boolean(view.get("process")) && (view.set({ process: null }), true));
}

function summary(known) {
  const ready = known.filter((each) => each.status === "ready").length;
  const sum = (name) => known.reduce((total, each) => total + (each[name] ?? 0), 0);
  const restarts = sum("restarts");
  return [
    figure("Ready", `${ready} of ${known.length}`, { grave: ready < known.length ? "warn" : "" }),
    figure("CPU", processors(sum("cpu"))), figure("Memory", bytes(sum("memory"))),
    figure("Restarts", count(restarts), { grave: restarts ? "warn" : "" }),
  ];
}

/** Of a socket's path the file alone: the folder is the same for all. */
const shortened = (address) => (address.startsWith("unix:") ? address.slice(address.lastIndexOf("/") + 1) : address);

function columns(view, most, begin) {
  return [
    { name: "process", title: "Process", kind: "name-column", text: (p) => `${p.name} ${p.replica} ${p.is_program}`, link: (p) => view.url({ process: p.name }),
      cell: (p) => [h("span", { class: "name" }, p.name), p.is_program ? h("span", { class: "badge" }, "program") : h("span", { class: "soft" }, `#${p.replica}`)] },
    // The problem stands beside what runs there, on a phone below the status.
    { name: "status", title: "Status", text: (p) => `${p.status} ${p.problem}`, cell: (p) => [status(p.status), p.problem ? h("span", { class: "problem only-phone" }, p.problem) : ""] },
    { name: "services", title: "What it runs", kind: "fill runs", from: "wide", text: (p) => `${p.services} ${p.apps} ${p.problem}`, hint: (p) => [...p.services, ...p.apps].join(", "),
      cell: (p) => [h("span", { class: "services wrap" }, p.services.map(service), p.apps.map((app) => h("span", { class: "badge" }, `app ${app}`))), p.problem ? h("span", { class: "problem" }, p.problem) : null].filter(Boolean) },
    { name: "cpu", title: "CPU", number: true, kind: "slim", text: (p) => processors(p.cpu),
      cell: (p) => (p.cpu === null ? h("span", { class: "soft" }, "–") : h("span", { class: "bar", style: { "--part": Math.min(1, p.cpu).toFixed(3) } }, processors(p.cpu))) },
    { name: "memory", title: "Memory", number: true, kind: "slim", text: (p) => `${bytes(p.memory)} ${most()}`,
      cell: (p) => (p.memory === null ? h("span", { class: "soft" }, "–") : h("span", { class: "bar", style: { "--part": (p.memory / (most() || 1)).toFixed(3) } }, bytes(p.memory))) },
    { name: "restarts", title: "Restarts", number: true, from: "wide", text: (p) => count(p.restarts), grave: (p) => (p.restarts ? "warn" : "") },
    { name: "since", title: "Uptime", number: true, from: "wide", text: (p) => duration(Math.max(0, Math.floor(Date.now() / 1000 - p.since))), hint: (p) => clock(p.since) },
    { name: "pid", title: "PID", number: true, from: "wider", text: (p) => (p.pid === null ? "–" : String(p.pid)) },
    { name: "address", title: "Address", from: "wider", kind: "mono clip", text: (p) => shortened(p.address) || "–", hint: (p) => p.address },
    { name: "change", title: "", text: (p) => (p.part ? JSON.stringify(p.part) : ""),
      cell: (p) => (p.part ? [acting([h("span", { class: "long" }, "Change"), h("span", { class: "short" }, "…")], () => begin(p.part), { class: "button change", "aria-label": `Change ${p.name}` })] : []) },
  ];
}
