// What nodes and edges are called, and how they look.

export const ICONS = {
  service: "M8 1.5 13.6 4.75v6.5L8 14.5 2.4 11.25v-6.5z",
  app: "M2 3h12v10H2zM2 6h12M4 4.5h.01M6 4.5h.01",
  program: "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10.5h3",
  external: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M2 8h12M8 2c4 4 4 8 0 12M8 2C4 6 4 10 8 14",
  database: "M3 4c0-2.5 10-2.5 10 0v8c0 2.5-10 2.5-10 0zM3 4c0 2.5 10 2.5 10 0M3 8c0 2.5 10 2.5 10 0",
  bus: "M1.5 8h13M4 8V4M8 8v4M12 8V4",
  outside: "M8 2.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M3 13.5c0-5 10-5 10 0",
};

export const KINDS = {
  service: "Service", app: "App", program: "Program", external: "Third party", database: "Database", bus: "Bus", outside: "From outside",
};

/** What goes along an edge where it is not counted. */
export const FLOWS = { call: "calls, not counted", event: "events", data: "data" };

/** @typedef {"called" | "never" | "undeclared" | "uncounted"} EdgeState */

/** Whether what the code says is so. @param {any} edge @returns {EdgeState} */
export function stateOf(edge) {
  if (!edge.declared) return "undeclared";
  if (edge.calls === null) return "uncounted";
  return edge.calls ? "called" : "never";
}

export const STATES = {
  called: "declared, and called", never: "declared, never called", undeclared: "called, never declared", uncounted: "declared; what goes there is not counted",
};

export const FAILING = 0.01; // of the calls: what is worth red

/** How grave a node is: by its status first, then by what fails. @param {any} node */
export function graveOf(node) {
  if (["failing", "silent", "stopped"].includes(node.status)) return "bad";
  if (node.status && node.status !== "ready") return "warn";
  if (node.figures && node.figures.failed >= FAILING) return "bad";
  if (node.replicas && node.ready < node.replicas) return "warn";
  return node.status ? "good" : "";
}
