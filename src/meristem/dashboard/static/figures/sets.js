// The charts of a service or of all: how its calls went, what its processes carried, which events waited.

import { ask } from "../parts/ask.js";
import { chart } from "../parts/chart.js";
import { bytes, count, duration, rate, share } from "../parts/format.js";
import { lines } from "./lines.js";

/** @typedef {{service: string, operation: string, minutes: number}} Asked */
/** @typedef {{ask: (asked: Asked, signal: AbortSignal) => Promise<any>, make: (signal: AbortSignal) => {elements: HTMLElement[], show: (told: any) => Promise<void>}}} ChartSet */

const known = (tell) => (value) => (value === null ? "–" : tell(value));

/** @type {ChartSet} */
const calls = {
  ask: (asked, signal) => ask("history", asked, signal),
  make(signal) {
    const rates = chart({ title: "Rate", series: [{ name: "rate", token: "--hue-1", fill: true }], tell: known(rate), signal });
    const errors = chart({ title: "Errors", series: [{ name: "errors", token: "--bad", fill: true }], tell: known(share), signal });
    const durations = chart({ title: "Duration", series: [{ name: "p50", token: "--hue-0" }, { name: "p99", token: "--hue-3" }], tell: duration, signal, scale: "powers" });
    const flying = chart({ title: "In flight", series: [{ name: "in flight", token: "--hue-1", fill: true }], tell: count, signal, scale: "whole" });
    return {
      elements: [rates, errors, durations, flying].map((each) => each.element),
      async show(points) {
        const of = (...values) => lines([points], points[0]?.figures.seconds ?? 0, values.map((value) => (each) => value(each.figures)));
        await rates.show(of((f) => f.rate));
        await errors.show(of((f) => f.failed));
        await durations.show(of((f) => f.p50, (f) => f.p99), heatOf(points));
        await flying.show(of((f) => f.in_flight));
      },
    };
  },
};

/** How many calls took how long, over time: what has no bounds is as high as a step below or above. */
export function heatOf(points) {
  return points.flatMap((point) => point.durations.map((each) => ({
    from: point.time - point.figures.seconds, to: point.time, many: each.calls,
    low: each.over || each.up_to / 2.5, high: each.up_to ?? each.over * 2.5,
  })));
}

/** @type {ChartSet} */
const load = {
  ask: ({ service, minutes }, signal) => ask("loadHistory", { service, minutes }, signal),
  make(signal) {
    const queue = chart({ title: "Waiting to be let in", series: [{ name: "calls", token: "--hue-1", fill: true }], tell: count, signal, scale: "whole" });
    const shed = chart({ title: "Turned away", series: [{ name: "calls", token: "--hue-3", fill: true }], tell: known(rate), signal });
    const lag = chart({ title: "Loop lag", series: [{ name: "worst", token: "--hue-2", fill: true }], tell: duration, signal, scale: "seconds" });
    const memory = chart({ title: "Memory", series: [{ name: "memory", token: "--hue-0", fill: true }], tell: bytes, signal, scale: "bytes" });
    return {
      elements: [queue, shed, lag, memory].map((each) => each.element),
      async show(points) {
        const of = (value) => lines([points], points[0]?.seconds ?? 0, [value]);
        await queue.show(of((each) => each.waiting));
        await shed.show(of((each) => each.shed));
        await lag.show(of((each) => each.loop_lag));
        await memory.show(of((each) => each.memory));
      },
    };
  },
};

/** Of a service: what waits in its outbox, for whomever, and what it is owed by others. @type {ChartSet} */
const events = {
  async ask({ service, minutes }, signal) {
    const of = (asked) => ask("eventHistory", { service: "", subscriber: "", minutes, ...asked }, signal);
    const [published, owed] = await Promise.all([of({ service }), service ? of({ subscriber: service }) : null]);
    return { published, owed: owed ?? published };
  },
  make(signal) {
    const parts = eventCharts(signal);
    return { elements: parts.elements, show: ({ published, owed }) => parts.show(published, owed) };
  },
};

/** Charts of events: what waits in outboxes, and how subscribers lag. @param {AbortSignal} signal */
export function eventCharts(signal) {
  const waiting = chart({ title: "Outbox", series: [{ name: "waiting", token: "--hue-1", fill: true }, { name: "failed", token: "--hue-3" }], tell: count, signal, scale: "whole" });
  const age = chart({ title: "Event lag", series: [{ name: "oldest", token: "--hue-2", fill: true }], tell: known(duration), signal, scale: "seconds" });
  const lag = chart({ title: "At the broker", series: [{ name: "events", token: "--hue-4", fill: true }], tell: known(count), signal, scale: "whole" });
  const dead = chart({ title: "Dead letters", series: [{ name: "dead", token: "--bad", fill: true }], tell: count, signal, scale: "whole" });
  return {
    elements: [waiting, age, lag, dead].map((each) => each.element),
    /** @param {any[]} published @param {any[]} owed the same where no service is chosen */
    async show(published, owed) {
      const of = (points, ...values) => lines([points], points[0]?.seconds ?? 0, values);
      // With direct delivery there is no broker that could have any.
      lag.element.hidden = owed.every((each) => each.lag === null);
      await waiting.show(of(published, (each) => each.waiting, (each) => each.failed));
      await age.show(of(owed, (each) => each.age ?? 0));
      if (!lag.element.hidden) await lag.show(of(owed, (each) => each.lag));
      await dead.show(of(owed, (each) => each.dead));
    },
  };
}

/** @type {Record<string, ChartSet>} */
export const SETS = { "": calls, load, events };
