// The map as it is drawn: nodes are links in HTML, edges are lines below them.

import { h, icon, keep, s, write } from "../parts/dom.js";
import { count, duration, rate, share } from "../parts/format.js";
import { FAILING, FLOWS, graveOf, ICONS, KINDS, STATES, stateOf } from "./kinds.js";
import { path, shownOf } from "./shapes.js";
import { placer } from "./placer.js";
import { viewport } from "./viewport.js";

const LABELLED = 30; // more labels than that hide the map; then they are those of the node that is looked at

/**
 * @param {{signal: AbortSignal, url: (id: string) => string}} options
 */
export function drawing({ signal, url }) {
  const lines = s("svg", { class: "edges", "aria-hidden": "true" });
  const boxes = h("div", {});
  const labels = h("div", { "aria-hidden": "true" });
  const nodes = h("div", { class: "nodes" });
  const inner = h("div", { class: "map-inner" }, boxes, lines, labels, nodes);
  const element = h("div", { class: "map card", role: "group", "aria-label": "Map of the system; arrow keys go from part to part" }, inner);
  const view = viewport(element, inner, signal);
  let drawn = "";
  let placed = null;
  let shown = null;
  let chosen = "";

  const places = placer(signal);
  /** @type {{system: any, options: any} | null} */
  let latest = null;

  const near = (id) => {
    if (!placed) return;
    const found = id && shown.nodes.some((each) => each.id === id);
    const close = new Set(found ? [id, ...shown.edges.flatMap((edge) => (edge.source === id ? [edge.target] : edge.target === id ? [edge.source] : []))] : []);
    inner.toggleAttribute("data-looking", Boolean(found));
    for (const node of nodes.children) node.classList.toggle("near", close.has(node.dataset.key));
    placed.lines.forEach((line, at) => {
      for (const each of [lines.children[at + 1], labels.children[at]]) each.classList.toggle("near", Boolean(found) && (line.source === id || line.target === id));
    });
  };
  const look = (event) => near(event.target.closest?.(".node")?.dataset.key ?? chosen);
  nodes.addEventListener("pointerover", look);
  nodes.addEventListener("pointerout", () => near(chosen));
  nodes.addEventListener("focusin", (event) => {
    look(event);
    for (const node of nodes.children) node.tabIndex = node === event.target ? 0 : -1;
    view.reveal(placed.nodes.get(event.target.dataset.key));
  });
  nodes.addEventListener("focusout", () => near(chosen));
  element.addEventListener("scroll", () => element.scrollTo(0, 0)); // a browser scrolls to what it focuses; `reveal` does
  nodes.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const from = placed?.nodes.get(event.target.dataset.key);
    if (!way || !from || event.shiftKey) return;
    event.preventDefault();
    const next = toward(placed.nodes, from, way);
    if (next) [...nodes.children].find((node) => node.dataset.key === next)?.focus();
  });

  const draw = () => {
    const { system, options } = latest;
    shown = shownOf(system, options.databases);
    chosen = options.chosen;
    const known = shown.nodes.filter((node) => placed.nodes.has(node.id));
    keep(nodes, known, (node) => node.id, (node) => nodeOf(node, shown, placed, url), (link, node) => update(link, node, shown, placed, url));
    tell(nodes, options);
    const edges = new Map(shown.edges.map((each) => [nameOf(each), each]));
    placed.lines.forEach((line, at) => edges.has(nameOf(line)) && updateEdge(lines.children[at + 1], labels.children[at], edges.get(nameOf(line))));
    near(chosen);
  };

  return {
    element, view,
    /**
     * Where parts came or went, their places are found first; else what stands there is told what is new.
     * @param {any} system @param {{databases: boolean, text: string, chosen: string}} options
     */
    async show(system, options) {
      latest = { system, options };
      const wanted = shownOf(system, options.databases);
      const shape = JSON.stringify([wanted.nodes.map((each) => [each.id, each.process]), wanted.edges.map((each) => [each.source, each.target, each.kind])]);
      if (shape !== drawn) {
        drawn = shape;
        const labelled = wanted.edges.filter((each) => each.kind !== "data").length <= LABELLED;
        const found = await places(wanted.nodes, wanted.edges, { wide: element.clientWidth, high: element.clientHeight, labelled });
        if (!found || shape !== drawn) return;
        placed = found;
        drawBoxes(boxes, placed);
        drawEdges(lines, labels, placed);
        inner.classList.toggle("crowded", !labelled);
        view.resize(placed);
      }
      if (placed) draw();
    },
    focus: (id) => [...nodes.children].find((node) => node.dataset.key === id)?.focus(),
    first: () => [...nodes.children].find((node) => !node.classList.contains("unlike"))?.dataset.key,
  };
}

/** The nearest node on a way: what lies aside counts for farther than what lies ahead. */
function toward(places, from, [right, down]) {
  let [best, least] = [null, Infinity];
  for (const [id, to] of places) {
    const ahead = (to.x - from.x) * right + (to.y - from.y) * down;
    const aside = Math.abs((to.x - from.x) * down) + Math.abs((to.y - from.y) * right);
    const far = ahead + aside * 2;
    if (ahead > 4 && far < least) [best, least] = [id, far];
  }
  return best;
}

function drawBoxes(element, placed) {
  element.replaceChildren(...placed.boxes.map((box) => h("div", { class: "process-box", style: at(box, box.width, box.height) }, h("span", { style: { left: `${box.named}px` } }, box.name))));
}

const at = ({ x, y }, wide, high) => ({ left: `${x - wide / 2}px`, top: `${y - high / 2}px`, width: `${wide}px`, height: `${high}px` });

const nameOf = (edge) => `${edge.source} ${edge.target} ${edge.kind}`;

function drawEdges(lines, labels, placed) {
  lines.setAttribute("width", placed.wide);
  lines.setAttribute("height", placed.high);
  lines.replaceChildren(
    s("defs", {}, ["", "bad", "warn"].map((kind) => s("marker", { id: `head-${kind}`, class: kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" }, s("path", { class: "solid", d: "M0 0 8 4 0 8z" })))),
    ...placed.edges.map((edge, index) => s("g", { class: "edge", "data-kind": placed.lines[index].kind }, s("path", { d: path(edge.points, edge.down) }))),
  );
  labels.replaceChildren(...placed.edges.map((edge) => {
    const middle = edge.points[Math.floor(edge.points.length / 2)];
    return h("span", { class: "edge-label", style: { left: `${edge.x ?? middle.x}px`, top: `${edge.y ?? middle.y}px` } });
  }));
}

function updateEdge(line, label, edge) {
  const state = stateOf(edge);
  const failing = edge.figures && edge.figures.failed >= FAILING;
  for (const each of [line, label]) {
    each.dataset.state = state;
    each.classList.toggle("failing", Boolean(failing));
  }
  const drawn = line.firstElementChild;
  drawn.setAttribute("marker-end", `url(#head-${failing ? "bad" : state === "undeclared" ? "warn" : ""})`);
  drawn.style.strokeWidth = edge.figures ? (1 + Math.min(1.6, Math.log10(1 + edge.figures.rate) / 2)).toFixed(2) : 1;
  const text = edge.figures && edge.figures.rate ? [rate(edge.figures.rate), edge.figures.failed ? share(edge.figures.failed) : "", edge.figures.p99 === null ? "" : duration(edge.figures.p99)].filter(Boolean).join(" · ") : "";
  write(label, text || (state === "never" ? "never" : ""));
}

function nodeOf(node, shown, placed, url) {
  const link = h("a", { class: "node", tabindex: "-1", draggable: "false" },
    icon(ICONS[node.kind]), h("span", { class: "title" }, node.name), " ", h("span", { class: "many" }), " ", h("span", { class: "below" }));
  update(link, node, shown, placed, url);
  return link;
}

function update(link, node, shown, placed, url) {
  const place = placed.nodes.get(node.id);
  link.href = url(node.id);
  link.dataset.kind = node.kind;
  link.dataset.grave = graveOf(node);
  link.toggleAttribute("data-pendant", Boolean(place.pendant));
  for (const [name, value] of Object.entries(at(place, place.wide, place.high))) link.style.setProperty(name, value);
  const { figures } = node;
  const kept = place.pendant && shown.edges.find((each) => each.target === node.id);
  write(link.querySelector(".title"), kept ? node.detail.split(":")[0] || node.name : node.name);
  if (kept) write(link.querySelector(".many"), kept.figures ? `${rate(kept.figures.rate)}${placed.flat ? "" : ` · ${duration(kept.figures.p99)}`}` : "");
  else if (placed.flat && figures) write(link.querySelector(".many"), figures.failed >= FAILING ? share(figures.failed) : rate(figures.rate));
  else write(link.querySelector(".many"), node.replicas > 1 || node.ready < node.replicas ? `${node.ready}/${node.replicas}` : "");
  const said = figures ? `${rate(figures.rate)} · ${share(figures.failed)} · ${duration(figures.p99)}` : node.detail || node.status;
  write(link.querySelector(".below"), place.high > 30 ? said : "");
  link.title = `${node.name}${node.detail ? `\n${node.detail}` : ""}`;
  // What is seen comes first, so that who speaks to a computer can say it.
  const seen = [...link.querySelectorAll(".title, .many, .below")].map((each) => each.textContent).filter(Boolean).join(" ");
  link.setAttribute("aria-label", [seen, KINDS[node.kind], place.pendant ? node.name : "", node.status].filter(Boolean).join(", "));
}

function tell(nodes, { text, chosen }) {
  const wanted = text.toLowerCase();
  let reachable = null;
  for (const link of nodes.children) {
    const like = link.dataset.key.toLowerCase().includes(wanted);
    link.classList.toggle("unlike", Boolean(wanted) && !like);
    link.classList.toggle("like", Boolean(wanted) && like);
    link.dataset.key === chosen ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    if (link.tabIndex === 0) reachable = link;
  }
  // One of them is on the tabulator's way; the arrows lead to the others.
  if (!reachable && nodes.firstElementChild) nodes.firstElementChild.tabIndex = 0;
}

/** What an edge says beside its name. @param {any} edge */
export const tellEdge = (edge) => (edge.figures?.rate ? `${rate(edge.figures.rate)} · ${share(edge.figures.failed)} · ${duration(edge.figures.p99)}` : edge.calls ? `${count(edge.calls)} calls` : stateOf(edge) === "uncounted" ? FLOWS[edge.kind] : STATES[stateOf(edge)]);
