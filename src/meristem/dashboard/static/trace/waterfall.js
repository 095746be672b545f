// The waterfall: a tree of spans, each with a bar where it was in time.

import { h, icon, keep } from "../parts/dom.js";
import { duration } from "../parts/format.js";
import { hue } from "../parts/hues.js";
import { detailOf, foldedAtFirst, kindOf, seen, treeOf } from "./tree.js";

const ICONS = {
  data: "M3 4c0-2.5 10-2.5 10 0v8c0 2.5-10 2.5-10 0zM3 4c0 2.5 10 2.5 10 0",
  event: "M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z",
  step: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
  out: "M3 13 13 3M7 3h6v6",
  call: "",
};
const NAMES = { data: "statement", event: "event", step: "step of a saga", out: "call out", call: "" };

/**
 * @param {{chosen: () => string, choose: (id: string) => void}} options
 * @returns {{element: HTMLElement, show: (spans: any[], logs: any[]) => void, mark: () => void}}
 */
export function waterfall({ chosen, choose }) {
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const rows = h("div", { class: "rows", role: "tree", "aria-label": "Spans" });
  const element = h("div", { class: "waterfall card" }, axis, rows);
  /** @type {ReturnType<typeof treeOf> | null} */
  let tree = null;
  /** @type {Set<string> | null} */
  let folded = null;
  let current = "";

  const draw = () => {
    const found = seen(tree.roots, folded);
    if (!found.some((row) => row.id === current)) current = chosen() && found.some((row) => row.id === chosen()) ? chosen() : found[0].id;
    keep(rows, found, (row) => row.id, make, update);
  };
  const make = (row) => {
    const element = rowOf(row);
    update(element, row);
    return element;
  };
  const update = (element, row) => {
    const open = !folded.has(row.id);
    if (row.children.length) element.setAttribute("aria-expanded", String(open));
    element.querySelector(".fold").textContent = row.children.length && !open ? `+${row.below}` : "";
    element.setAttribute("aria-selected", String(row.id === chosen()));
    element.tabIndex = row.id === current ? 0 : -1;
    element.style.setProperty("--from", row.from);
    element.style.setProperty("--to", row.to);
  };
  const find = (id, list = tree.roots) => list.reduce((known, row) => known ?? (row.id === id ? row : find(id, row.children)), undefined);
  const toward = (id) => {
    current = id;
    draw();
    rows.querySelector(`[data-key="${CSS.escape(id)}"]`)?.focus();
  };
  const fold = (row, shut) => {
    shut ? folded.add(row.id) : folded.delete(row.id);
    draw();
  };

  rows.addEventListener("click", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element || String(getSelection())) return;
    const row = find(element.dataset.key);
    current = row.id;
    if (event.target.closest(".caret") && row.children.length) fold(row, !folded.has(row.id));
    else choose(row.id === chosen() ? "" : row.id);
  });
  rows.addEventListener("keydown", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    const list = seen(tree.roots, folded);
    const at = list.findIndex((row) => row.id === element.dataset.key);
    const row = list[at];
    const shut = folded.has(row.id) || !row.children.length;
    const keys = {
      ArrowDown: () => toward(list[Math.min(at + 1, list.length - 1)].id),
      ArrowUp: () => toward(list[Math.max(at - 1, 0)].id),
      Home: () => toward(list[0].id),
      End: () => toward(list.at(-1).id),
      ArrowRight: () => (shut ? row.children.length && fold(row, false) : toward(row.children[0].id)),
      ArrowLeft: () => (shut ? list.slice(0, at).findLast((each) => each.depth < row.depth) && toward(list.slice(0, at).findLast((each) => each.depth < row.depth).id) : fold(row, true)),
      Enter: () => choose(row.id),
      " ": () => choose(row.id === chosen() ? "" : row.id),
    };
    keys.j = keys.ArrowDown;
    keys.k = keys.ArrowUp;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  return {
    element,
    show(spans, logs) {
      tree = treeOf(spans);
      folded ??= foldedAtFirst(tree.roots);
      const { at, rests, ticks } = tree.times;
      axis.replaceChildren(
        ...ticks.map(({ from, time }) => h("span", { class: "tick", style: { "--from": from } }, duration(time))),
        ...rests.map(({ begins, ends, from, to }) => h("span", {
          class: "rest", title: `Nothing happens for ${duration(ends - begins)}, so this is not to scale`, style: { "--from": from, "--to": to },
        })),
        ...logs.map((line) => h("i", { class: "mark", "data-level": line.level, style: { "--from": at(line.time) } })));
      draw();
    },
    mark: () => tree && draw(),
  };
}

function rowOf({ span, depth, failing, children }) {
  const kind = kindOf(span);
  const detail = detailOf(span);
  return h("div", {
    role: "treeitem", "aria-level": depth + 1, class: `row ${failing ? "failing" : ""}`, "data-kind": kind, "data-hue": span.service,
    style: { "--depth": Math.min(depth, 12), "--hue": hue(span.service) },
    "aria-label": [NAMES[kind], span.name, `of ${span.service}`, duration(span.duration), failing ? `failed: ${span.error}` : ""].filter(Boolean).join(", "),
  },
  h("span", { class: "label" },
    h("span", { class: children.length ? "caret" : "caret leaf" }, children.length ? icon("M5.5 4 10 8l-4.5 4") : null),
    ICONS[kind] ? icon(ICONS[kind]) : null,
    h("span", { class: "what" }, span.name, detail ? h("span", { class: "detail mono" }, detail) : null),
    h("span", { class: "fold" })),
  h("span", { class: "time" }, h("span", { class: "span" }), h("span", { class: "took" }, duration(span.duration))));
}
