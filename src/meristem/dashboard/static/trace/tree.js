// Spans as a tree: who called whom, in the order of their starts.

import { timesOf } from "./times.js";

/**
 * A span with its place in the trace. `from` and `to` are where it is drawn; `below` are all that it caused.
 * @typedef {{span: any, depth: number, children: Row[], from: number, to: number, below: number, failing: boolean, id: string}} Row
 */

/** @param {any[]} spans @returns {{roots: Row[], times: ReturnType<typeof timesOf>}} */
export function treeOf(spans) {
  const times = timesOf(spans);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const span of spans) {
    rows.set(span.span_id, {
      span, id: span.span_id, depth: 0, children: [], below: 0, failing: Boolean(span.error),
      from: times.at(span.start), to: times.at(span.start + span.duration),
    });
  }
  // A parent that is not kept, or that was elsewhere, leaves its children as roots; so does one that is its own ancestor.
  const roots = [];
  for (const row of rows.values()) {
    const parent = rows.get(row.span.parent_id);
    if (parent && !leadsTo(rows, parent, row)) parent.children.push(row);
    else roots.push(row);
  }
  const order = (list) => list.sort((one, other) => one.span.start - other.span.start);
  const settle = (row, depth) => {
    row.depth = depth;
    for (const child of order(row.children)) {
      settle(child, depth + 1);
      row.below += 1 + child.below;
    }
  };
  for (const root of order(roots)) settle(root, 0);
  return { roots, times };
}

function leadsTo(rows, from, target) {
  const seen = new Set();
  for (let row = from; row && !seen.has(row); row = rows.get(row.span.parent_id)) {
    if (row === target) return true;
    seen.add(row);
  }
  return false;
}

/** The rows that are seen while some are folded. @param {Row[]} roots @param {Set<string>} folded @returns {Row[]} */
export function seen(roots, folded) {
  const found = [];
  const add = (row) => {
    found.push(row);
    if (!folded.has(row.id)) row.children.forEach(add);
  };
  roots.forEach(add);
  return found;
}

/** What is folded at first: of a large trace all that would make more than `most` rows. @param {Row[]} roots */
export function foldedAtFirst(roots, most = 400) {
  const folded = new Set();
  let level = roots;
  let rows = roots.length;
  while (level.length) {
    const next = level.flatMap((row) => row.children);
    rows += next.length;
    if (rows > most) for (const row of level) if (row.children.length) folded.add(row.id);
    if (rows > most) break;
    level = next;
  }
  return folded;
}

/** What kind of work a span is. @param {any} span @returns {"data" | "event" | "step" | "call" | "out"} */
export function kindOf(span) {
  if (span.attributes["db.system.name"]) return "data";
  if (span.kind === "producer" || span.kind === "consumer") return "event";
  if (span.attributes["meristem.saga"]) return "step";
  return span.kind === "client" ? "out" : "call";
}

/** What a span did, in a few words beside its name. @param {any} span */
export function detailOf(span) {
  const query = span.attributes["db.query.text"];
  if (query) return query.startsWith(span.name) ? query.slice(span.name.length).trim() : query;
  const path = span.attributes["url.path"] ?? "";
  return span.name.includes(path) ? "" : path;
}
