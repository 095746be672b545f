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
  let text = `M${at(points[0])}`;
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]];
    const half = down ? (from.y + to.y) / 2 : (from.x + to.x) / 2;
    text += down ? `C${at({ x: from.x, y: half })} ${at({ x: to.x, y: half })} ${at(to)}` : `C${at({ x: half, y: from.y })} ${at({ x: half, y: to.y })} ${at(to)}`;
  }
  return text;
}
