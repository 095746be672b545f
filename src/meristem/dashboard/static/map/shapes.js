// What of a system a map shows, and what its lines look like.

/** What is shown of a system. @param {any} system @param {boolean} databases */
export function shownOf(system, databases) {
  const nodes = system.nodes.filter((node) => databases || node.kind !== "database");
  const ids = new Set(nodes.map((node) => node.id));
  return { nodes, edges: system.edges.filter((edge) => ids.has(edge.source) && ids.has(edge.target)) };
}

/** A smooth line through points. @param {{x: number, y: number}[]} points @param {boolean} down */
export function path(points, down) {
  const at = ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return `M${at(points[0])}${bends(points, down).map(([, out, into, to]) => `C${at(out)} ${at(into)} ${at(to)}`).join("")}`;
}

/** Points of that line, close enough to tell what it goes through. @param {{x: number, y: number}[]} points @param {boolean} down */
export function along(points, down) {
  return bends(points, down).flatMap(([from, out, into, to]) => STEPS.map((t) => {
    const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
    return { x: a * from.x + b * out.x + c * into.x + d * to.x, y: a * from.y + b * out.y + c * into.y + d * to.y };
  }));
}

const STEPS = Array.from({ length: 33 }, (_, step) => step / 32);

/** From each point to the next a cubic curve, which leaves and arrives straight on. */
function bends(points, down) {
  return points.slice(1).map((to, index) => {
    const from = points[index];
    const half = down ? (from.y + to.y) / 2 : (from.x + to.x) / 2;
    return down ? [from, { x: from.x, y: half }, { x: to.x, y: half }, to] : [from, { x: half, y: from.y }, { x: half, y: to.y }, to];
  });
}
