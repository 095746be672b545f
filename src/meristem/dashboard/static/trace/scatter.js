// Traces as points: when each began, and how long it took, on a logarithmic scale. The table below says the same.

import { h, keep, s } from "../parts/dom.js";
import { clock, duration } from "../parts/format.js";

const HIGH = 84;
const EDGE = { top: 8, bottom: 16, left: 44, right: 8 };

export function scatter() {
  const drawing = s("svg", { class: "scatter", height: HIGH, "aria-hidden": "true" });
  const lines = s("g", { class: "grid" });
  const points = s("g", {});
  drawing.append(lines, points);
  let known = [];
  const element = h("figure", { class: "card scatter-box" }, drawing);
  new ResizeObserver(() => draw(drawing, lines, points, known)).observe(element);
  return {
    element,
    /** @param {any[]} traces */
    show(traces) {
      known = traces;
      draw(drawing, lines, points, known);
    },
  };
}

function draw(drawing, lines, points, traces) {
  const wide = drawing.clientWidth;
  if (!wide || !traces.length) return;
  drawing.setAttribute("viewBox", `0 0 ${wide} ${HIGH}`);
  const longest = Math.max(...traces.map((each) => each.duration));
  const [from, to] = bounds(traces.map((each) => each.start), 1);
  const low = Math.floor(Math.log10(Math.max(1e-6, Math.min(...traces.map((each) => each.duration || 1e-6)))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1e-6, longest))));
  const x = (time) => EDGE.left + ((time - from) / (to - from)) * (wide - EDGE.left - EDGE.right);
  const y = (seconds) => HIGH - EDGE.bottom - ((Math.log10(Math.max(seconds, 10 ** low)) - low) / (high - low)) * (HIGH - EDGE.top - EDGE.bottom);

  const step = Math.ceil((high - low) / 3);
  const powers = Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, at) => low + at * step);
  lines.replaceChildren(
    ...powers.map((power) => s("g", {},
      s("line", { x1: EDGE.left, x2: wide - EDGE.right, y1: y(10 ** power), y2: y(10 ** power) }),
      s("text", { x: EDGE.left - 6, y: y(10 ** power) + 3.5, "text-anchor": "end" }, duration(10 ** power)))),
    s("text", { x: EDGE.left, y: HIGH - 3 }, clock(from, false)),
    s("text", { x: wide - EDGE.right, y: HIGH - 3, "text-anchor": "end" }, clock(to, false)),
  );
  keep(points, traces, (trace) => trace.trace_id, (trace) => {
    const dot = s("a", { href: `/traces/${encodeURIComponent(trace.trace_id)}`, tabindex: "-1", class: trace.failed ? "dot failed" : "dot" },
      s("circle", { r: trace.failed ? 4 : 3 }), s("title", {}, `${trace.name}, ${duration(trace.duration)}`));
    place(dot, trace);
    return dot;
  }, place);

  function place(dot, trace) {
    dot.firstElementChild.setAttribute("cx", x(trace.start).toFixed(1));
    dot.firstElementChild.setAttribute("cy", y(trace.duration).toFixed(1));
  }
}

function bounds(values, least) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high - low < least ? [high - least, high] : [low, high];
}
