// Where nodes stand: in layers by dependencies, by dagre; what runs in one process stands together, in a box.

import { Graph, layout } from "../vendor/dagre-3.1.3/dagre.esm.js";
import { along } from "./shapes.js";

const SIZE = { wide: 164, high: 46 };
const FLAT = { wide: 160, high: 28 }; // a name and one figure, where there are many
const MANY = 24;
const SMALL = { wide: 140, high: 26 };
const PENDANT = { wide: 148, high: 22, gap: 5 };
const BOX = { side: 8, top: 20, gap: 6, few: 4 };
const NAME = { letter: 6.5, least: 40, step: 4 }; // of a box: its room at most, so that no line goes through it

/** @typedef {{x: number, y: number, wide: number, high: number, pendant?: boolean, bears?: boolean}} Place the middle and the size */

/**
 * The places of nodes and edges, from left to right or from above downwards, whichever fills a window better.
 * @param {any[]} nodes @param {any[]} edges @param {{wide: number, high: number, labelled: boolean}} options
 */
export function place(nodes, edges, { wide, high, labelled }) {
  const across = placed(nodes, edges, false, labelled);
  if (across.flat) return across; // many flat nodes below each other take less room than side by side
  const down = placed(nodes, edges, true, labelled);
  const scale = (found) => Math.min(wide / found.wide, high / found.high);
  return scale(across) >= scale(down) ? across : down;
}

function placed(nodes, edges, down, labelled) {
  const pendants = pendantsOf(nodes, edges);
  const bearing = new Set(pendants.values());
  const apart = nodes.filter((node) => !pendants.has(node.id));
  const lines = edges.filter((edge) => !pendants.has(edge.target));
  const units = unitsOf(apart);
  const flat = apart.length > MANY;
  const ownSize = (node) => (["database", "bus", "outside"].includes(node.kind) ? SMALL : flat ? FLAT : SIZE);
  const roomOf = (node) => ownSize(node).high + (bearing.has(node.id) ? PENDANT.high + PENDANT.gap : 0);
  const graph = new Graph({ compound: units.some((unit) => unit.cluster), multigraph: true });
  graph.setGraph({
    rankdir: down ? "TB" : "LR", nodesep: flat ? 6 : down ? 20 : 16, ranksep: flat ? 64 : labelled && !down ? 36 : 54,
    edgesep: flat ? 4 : 10, marginx: 16, marginy: 16, ranker: flat ? "tight-tree" : "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const unitOf = new Map();
  for (const unit of units) {
    if (unit.cluster) graph.setNode(`box ${unit.name}`, {});
    for (const each of unit.cluster ? unit.parts.map((part) => ({ ...unit, id: part.id, parts: [part], boxed: false })) : [unit]) {
      graph.setNode(each.id, sizeOf(each, { down, ownSize, roomOf }));
      if (unit.cluster) graph.setParent(each.id, `box ${unit.name}`);
      for (const part of each.parts) unitOf.set(part.id, each);
    }
  }
  // What goes between two boxes goes one way.
  const ways = new Map();
  for (const line of lines) {
    const [source, target] = [unitOf.get(line.source), unitOf.get(line.target)];
    if (source === target) continue;
    const kind = labelled ? `${line.source} ${line.target} ${line.kind}` : "way";
    graph.setEdge(source.id, target.id, labelled && line.figures ? { width: down ? 96 : 90, height: 15, labelpos: "c" } : {}, kind);
    ways.set(line, [source.id, target.id, kind]);
  }
  layout(graph);

  /** @type {Map<string, Place>} */
  const places = new Map();
  const boxes = [];
  for (const unit of new Set(unitOf.values())) settle(unit, graph.node(unit.id), { down, places, boxes, bearing, ownSize, roomOf });
  for (const unit of units) if (unit.cluster) boxes.push({ name: unit.name, ...graph.node(`box ${unit.name}`) });
  for (const [id, bearer] of pendants) {
    const { x, y, high } = places.get(bearer);
    places.set(id, { x, y: y + high / 2 + PENDANT.gap + PENDANT.high / 2, wide: PENDANT.wide, high: PENDANT.high, pendant: true });
  }
  const { width, height } = graph.graph();
  const joints = lines.map((line) => joined(ways.has(line) ? graph.edge(...ways.get(line)) : null, places.get(line.source), places.get(line.target), down));
  const drawn = joints.flatMap((each) => along(each.points, each.down));
  for (const box of boxes) box.named = freeOf(box, drawn);
  return { down, flat, wide: width, high: height, nodes: places, lines, boxes, edges: joints };
}

/** How far from the left a box's name stands: the first place at its top that no line goes through. */
function freeOf(box, drawn) {
  const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
  const wide = Math.min(box.width - 2 * BOX.side, Math.max(NAME.least, box.name.length * NAME.letter));
  const crossing = drawn.filter(({ y }) => y > top - 2 && y < top + BOX.top).map(({ x }) => x - left);
  for (let at = BOX.side; at + wide <= box.width - BOX.side; at += NAME.step) {
    if (!crossing.some((x) => x > at - NAME.step && x < at + wide + NAME.step)) return at;
  }
  return BOX.side;
}

/** Nodes of one process together: a few below each other, many as a cluster that has layers of its own. */
function unitsOf(nodes) {
  const units = new Map();
  for (const node of nodes) {
    const name = node.process ? `process ${node.process}` : node.id;
    if (!units.has(name)) units.set(name, { id: name, name: node.process, parts: [] });
    units.get(name).parts.push(node);
  }
  return [...units.values()].map((unit) => ({ ...unit, boxed: unit.parts.length > 1, cluster: unit.parts.length > BOX.few }));
}

/** Those of a box stand across the way of the lines: each is reached without crossing another one. */
function sizeOf({ parts, boxed }, { down, ownSize, roomOf }) {
  const [wides, highs] = [parts.map((part) => ownSize(part).wide), parts.map(roomOf)];
  const gaps = BOX.gap * (parts.length - 1);
  const wide = down ? sum(wides) + gaps : Math.max(...wides);
  const high = down ? Math.max(...highs) : sum(highs) + gaps;
  return boxed ? { width: wide + 2 * BOX.side, height: high + BOX.top + BOX.side } : { width: wide, height: high };
}

const sum = (values) => values.reduce((total, each) => total + each, 0);

function settle({ name, parts, boxed }, { x, y, width, height }, { down, places, boxes, bearing, ownSize, roomOf }) {
  if (boxed) boxes.push({ name, x, y, width, height });
  let left = x - width / 2 + (boxed ? BOX.side : 0);
  let top = y - height / 2 + (boxed ? BOX.top : 0);
  for (const part of parts) {
    const size = ownSize(part);
    places.set(part.id, { x: down ? left + size.wide / 2 : x, y: top + size.high / 2, ...size, bears: bearing.has(part.id) });
    if (down) left += size.wide + BOX.gap;
    else top += roomOf(part) + BOX.gap;
  }
}

/** Databases that one service alone keeps its data in: they hang below it. By their ids, the service's. */
function pendantsOf(nodes, edges) {
  const keepers = new Map();
  for (const { source, target, kind } of edges) if (kind === "data") keepers.set(target, keepers.has(target) ? null : source);
  const kinds = new Map(nodes.map((node) => [node.id, node.kind]));
  const borne = new Map();
  for (const [database, keeper] of keepers) {
    // One hangs below each; another one stands apart.
    if (keeper && kinds.get(database) === "database" && !borne.has(keeper)) borne.set(keeper, database);
  }
  return new Map([...borne].map(([keeper, database]) => [database, keeper]));
}

/** Dagre's line joins boxes, ours nodes; within a box it goes round at the side where no other one of the box stands. */
function joined(edge, source, target, down) {
  if (!edge && down && source !== target) {
    const [from, to] = [bottom(source), bottom(target)];
    return { down: true, points: [{ x: source.x, y: from }, { x: (source.x + target.x) / 2, y: Math.max(from, to) + 14 }, { x: target.x, y: to }] };
  }
  if (!edge) {
    const right = source.x + source.wide / 2;
    const apart = source === target ? 11 : 0; // what a node sends to itself leaves above its middle and comes back below
    const out = right + 14; // less than is between two nodes
    return { down: false, points: [{ x: right, y: source.y - apart }, { x: out, y: (source.y + target.y) / 2 }, { x: right, y: target.y + apart }] };
  }
  const points = edge.points.slice(1, -1);
  return { ...edge, down, points: [border(source, points[0], down), ...points, border(target, points.at(-1), down)] };
}

const bottom = (node) => node.y + node.high / 2 + (node.bears ? PENDANT.gap + PENDANT.high : 0);

function border(node, toward, down) {
  if (!down) return { x: node.x + (toward.x < node.x ? -1 : 1) * (node.wide / 2), y: clamp(toward.y, node.y, node.high / 2 - 12) };
  const below = toward.y > node.y;
  return { x: clamp(toward.x, node.x, node.wide / 2 - 20), y: below ? bottom(node) : node.y - node.high / 2 };
}

const clamp = (value, middle, most) => Math.max(middle - most, Math.min(middle + most, value));
