// Charts over time, drawn by uPlot, which is loaded by the first page that has one.

import { h } from "./dom.js";
import { clock } from "./format.js";

const PLACE = new URL("../vendor/uplot-1.6.32/", import.meta.url).pathname;
const NARROW = 240; // pixels, below which a chart has short axes
const high = (canvas) => (canvas.clientWidth < 420 ? 108 : 148);

/** @type {Promise<any> | null} */
let loading = null;

function uPlot() {
  loading ??= new Promise((done, failed) => {
    document.head.append(h("link", { rel: "stylesheet", href: `${PLACE}uPlot.min.css` }));
    document.head.append(h("script", {
      src: `${PLACE}uPlot.iife.min.js`,
      on: { load: () => done(globalThis.uPlot), error: () => { loading = null; failed(new Error("the charts could not be loaded")); } },
    }));
  });
  return loading;
}

/** A time, a range of values, and how many there are. @typedef {{from: number, to: number, low: number, high: number, many: number}} Cell */

const TOKENS = ["--soft", "--line", "--bad", ...Array.from({ length: 8 }, (_, at) => `--hue-${at}`)];
const DOUBLED = Array.from({ length: 41 }, (_, at) => 2 ** at);
// Steps of a duration as people count it, from a microsecond to thirty days.
const SECONDS = [...[-6, -5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((each) => each * 10 ** power)), 1, 2, 5, 10, 15, 30,
  ...[1, 2, 5, 10, 15, 30].map((each) => each * 60), ...[1, 2, 6, 12, 24, 48, 120, 240, 720].map((each) => each * 3600)];
const WHOLE = Array.from({ length: 13 }, (_, at) => [1, 2, 5].map((each) => each * 10 ** at)).flat();
const STEPS = { whole: WHOLE, bytes: DOUBLED, seconds: SECONDS };

/** The colours of tokens as a canvas takes them; all at once, for each look makes the browser lay out the page. */
function colours() {
  const probes = TOKENS.map((token) => h("i", { style: { color: `var(${token})` } }));
  const holder = h("div", { hidden: true }, probes);
  document.body.append(holder);
  const found = Object.fromEntries(TOKENS.map((token, at) => [token, getComputedStyle(probes[at]).color]));
  holder.remove();
  return found;
}

/**
 * A chart with a title, what its lines are at the moment (or at the pointer), and a text for those who can't see it.
 * @param {{title: string, series: {name: string, token: string, fill?: boolean}[], tell: (value: number | null) => string,
 *   signal: AbortSignal, scale?: "powers" | keyof typeof STEPS}} options of `powers` each line of the grid is ten times the
 *   one below, and cells of a heat map may lie behind the lines; what is `whole` has no halves
 */
export function chart({ title, series, tell, signal, scale }) {
  const powers = scale === "powers";
  const now = h("div", { class: "legend" });
  const canvas = h("div", { class: "plot" });
  const element = h("figure", { class: "card chart" }, h("figcaption", {}, h("h2", {}, title), now), canvas);
  /** @type {any} */
  let plot = null;
  let data = [[0]];
  let known = false;
  /** @type {Cell[]} */
  let cells = [];
  let making = false;
  let narrow = false;

  const legend = (at, pointed = false) => now.replaceChildren(...(pointed ? [clock(data[0][at], false)] : []), ...series.map((each, number) => h("span", { style: { "--hue": `var(${each.token})` } },
    series.length > 1 ? h("i", { class: "soft" }, each.name) : null, h("strong", {}, tell(data[number + 1]?.[at] ?? null)))));

  const build = async () => {
    // What is not on the page yet has no width: it is drawn as soon as it has.
    if (making || !canvas.clientWidth) return;
    making = true;
    narrow = canvas.clientWidth < NARROW;
    try {
      const UPlot = await uPlot();
      if (signal.aborted) return;
      plot?.destroy();
      plot = new UPlot(options({ element, canvas, series, tell, scale, narrow, heat: () => cells }, (at) => (at === null || at === undefined ? legend(data[0].length - 1) : legend(at, true))), data, canvas);
    } finally {
      making = false;
    }
  };
  const resize = new ResizeObserver(() => {
    if (!canvas.clientWidth) return;
    if (plot && narrow === canvas.clientWidth < NARROW) plot.setSize({ width: canvas.clientWidth, height: high(canvas) });
    else if (known) build().catch(console.error);
  });
  resize.observe(canvas);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", build, { signal });
  document.addEventListener("schemechange", build, { signal });
  signal.addEventListener("abort", () => { resize.disconnect(); plot?.destroy(); });

  return {
    element,
    /** @param {(number | null)[][]} told times, then the values of each line @param {Cell[]} [heat] what lies behind */
    async show(told, heat = []) {
      await new Promise(requestAnimationFrame); // one chart a frame: keys and clicks come between
      // A logarithm of 0 is nowhere.
      cells = heat;
      data = powers ? told.map((values) => values.map((each) => each || null)) : told;
      known = true;
      const last = series.map((each, number) => `${each.name} ${tell(told[number + 1].at(-1) ?? null)}`).join(", ");
      const most = Math.max(0, ...told.slice(1).flat().filter((each) => each !== null));
      canvas.setAttribute("role", "img");
      const hottest = heat.reduce((one, other) => (!one || other.many > one.many ? other : one), /** @type {Cell | null} */ (null));
      const heated = hottest ? `; most often ${tell(hottest.low)} to ${tell(hottest.high)}` : "";
      canvas.setAttribute("aria-label", `${title}: ${last}; at most ${tell(most)} in this time${heated}`);
      legend(told[0].length - 1);
      plot ? plot.setData(data) : await build();
    },
  };
}

function options({ element, canvas, series, tell, scale, narrow, heat }, pointed) {
  const powers = scale === "powers";
  const palette = colours();
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const axis = { stroke: palette["--soft"], font, grid: { stroke: palette["--line"], width: 1 }, ticks: { show: false } };
  return {
    width: canvas.clientWidth,
    height: high(canvas),
    padding: [8, narrow ? 14 : 24, 0, 0],
    legend: { show: false },
    // Who points at a moment in one chart sees it in all.
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "moment", setSeries: false } },
    scales: {
      y: powers
        ? { distr: 3, range: (_, low, high) => around(heat(), low, high) }
        : { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: narrow ? 48 : 70, values: (_, times) => times.map((each) => new Date(each * 1000).toTimeString().slice(0, times.at(-1) - times[0] < 300 ? 8 : 5)) },
      {
        ...axis, size: narrow ? 46 : 58, space: 36, incrs: STEPS[scale], values: (_, values) => values.map((each) => (each === null ? "" : tell(each))),
        ...(powers ? { splits: (_, __, low, high) => tens(low, high), filter: (_, splits) => splits } : {}),
      },
    ],
    series: [{}, ...series.map((each) => ({
      stroke: palette[each.token],
      width: 1.5,
      fill: each.fill ? palette[each.token].replace("rgb(", "rgba(").replace(")", ", .12)") : undefined,
      points: { show: false, size: 4, filter: alone },
    }))],
    hooks: { setCursor: [(plot) => pointed(plot.cursor.idx)], drawClear: [(plot) => drawHeat(plot, heat(), palette["--hue-1"])] },
  };
}

/** What is known of a moment alone is no line: a point. */
function alone(plot, series) {
  const values = plot.data[series];
  return values.flatMap((value, at) => (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [at] : []));
}

/** Powers of ten around all that is shown. */
function around(cells, low, high) {
  const lowest = Math.min(low || Infinity, ...cells.map((each) => each.low));
  const highest = Math.max(high || 0, ...cells.map((each) => each.high));
  return [10 ** Math.floor(Math.log10(lowest < Infinity ? lowest : 1e-3)), 10 ** Math.ceil(Math.log10(highest || 1))];
}

/** The more calls, the stronger; by the root, so that the few slow ones are seen beside the many. */
function drawHeat(plot, cells, colour) {
  const most = Math.max(0, ...cells.map((each) => each.many));
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const each of cells) {
    const [left, right] = [each.from, each.to].map((time) => Math.round(plot.valToPos(time, "x", true)));
    const [top, bottom] = [each.high, each.low].map((value) => Math.round(plot.valToPos(value, "y", true)));
    ctx.fillStyle = colour.replace("rgb(", "rgba(").replace(")", `, ${(0.1 + 0.6 * Math.sqrt(each.many / most)).toFixed(3)})`);
    ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  }
  ctx.restore();
}

/** The powers of ten between two of them; every second or third where they are many. */
function tens(low, high) {
  const [from, to] = [Math.round(Math.log10(low)), Math.round(Math.log10(high))];
  const step = Math.max(1, Math.ceil((to - from) / 4));
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, at) => 10 ** (from + at * step));
}
