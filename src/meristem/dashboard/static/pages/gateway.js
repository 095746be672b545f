// The gateway: what becomes of requests on each route, how full limits are, who is banned, who was refused and why.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { count, duration, plural, rate, share } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { withCode } from "../parts/marks.js";
import { missing } from "../parts/missing.js";
import { minutes } from "../figures/charts.js";
import { ban } from "../gateway/changes.js";
import { routeHistory } from "../gateway/history.js";
import { refusalLists, together } from "../gateway/refusals.js";
import { banTable, limitTable, routeTable, ruleTable } from "../gateway/tables.js";
import { failedMark } from "../gateway/words.js";

const FEW = 25; // rows of what may be many, until all are asked for

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const banning = acting("Ban an address", () => ban("", refresh), { hidden: true });
  const { count: counted } = heading(view, "Gateway", search(view, "text", "Route, address or reason"), minutes(view), banning);
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  const gaps = missing();
  const sums = h("div", { class: "summary" });
  const history = routeHistory(view);
  let known = null;

  const routes = part("Routes", routeTable(view));
  const limits = part("Limits", limitTable(() => known));
  const rules = part("Firewall rules", ruleTable(() => known));
  const bans = part("Bans", banTable(() => refresh()));
  const kinds = pick(view, "show", "Refusals shown", [["", "All"], ["refused", "Refused"], ["dry", "Dry run"]]);
  const apart = () => view.get("list") === "each";
  const lists = pick(view, "list", "How refusals are listed", [["", "By client"], ["each", "One by one"]]);
  const refusals = part("Who is refused", refusalLists(() => known, apart, () => refresh()), h("div", { class: "tools" }, lists, kinds));
  const parts = h("div", { class: "stack" }, routes.element,
    h("div", { class: "halves" }, limits.element, rules.element), bans.element, refusals.element);

  const show = () => {
    if (!known) return;
    gaps.show(known.silent, "what is known there is");
    banning.hidden = !known.bans_there;
    if (!known.is_there) {
      body.replaceChildren(gaps.element, known.silent.length ? "" : nobody());
      return;
    }
    const text = view.get("text").toLowerCase();
    const route = view.get("route");
    const has = (...values) => values.some((each) => each.toLowerCase().includes(text));
    counted.textContent = plural(known.routes.length - 1, "route");
    sums.replaceChildren(...summary(known));
    if (!parts.isConnected) body.replaceChildren(gaps.element, sums, history.element, parts);
    routes.show(known.routes.filter((each) => has(each.name, ...Object.keys(each.refused), ...Object.keys(each.would_refuse)) || each.name === route), "No route is like that.");
    limits.show([...known.limits, ...known.concurrency].filter((each) => has(each.name, ...each.fullest.map((one) => one.key))), known.limits.length + known.concurrency.length ? "No limit is like that." : "");
    rules.show(known.rules.filter((each) => has(each.name, ...each.when)), known.rules.length ? "No rule is like that." : "");
    const banned = known.bans.filter((each) => has(each.address, each.why));
    bans.show(...some(view, "bans", banned), known.bans_there ? (known.bans.length ? "No ban is like that." : "Nobody is banned.") : "");
    bans.beside.textContent = known.banned > known.bans.length ? `the latest ${count(known.bans.length)} of ${count(known.banned)}` : "";
    const wanted = view.get("show");
    const latest = known.latest.filter((each) => (!route || each.route === route) && (!wanted || each.dry_run === (wanted === "dry"))
      && has(each.client, each.user, each.path, each.by, each.why, each.route));
    refusals.beside.textContent = latest.length ? `of the latest ${count(known.latest.length)}` : "";
    refusals.show(...some(view, "refusals", apart() ? latest : together(latest)), known.latest.length ? "No refusal is like that." : "Nobody was refused since the edge began.");
  };
  const refresh = view.follow(["figures"], (signal) => ask("GatewayControl/overview", {}, signal), (found) => { known = found; show(); }, { pause: 2000 });
  view.watch(show);
  view.onEscape(() => Boolean(view.get("route")) && (view.set({ route: null }), true));
}

/** A table below its name; where there is nothing, `none` says so, or nothing is shown at all. */
function part(title, list, ...tools) {
  const beside = h("span", { class: "soft" });
  const none = h("p", { class: "soft" });
  const ways = h("div", { class: "ways" });
  const element = h("section", { class: "stack", "aria-label": title, hidden: true },
    h("div", { class: "charts-head" }, h("div", { class: "line-of" }, h("h2", {}, title), beside), ...tools), none, list.element, ways);
  return {
    element,
    beside,
    /** @param {any[]} rows @param {...any} rest a link to all of them, if these are some; what is said where there are none */
    show(rows, ...rest) {
      const said = rest.pop();
      element.hidden = !rows.length && !said;
      none.hidden = rows.length > 0;
      list.element.hidden = !rows.length;
      none.textContent = rows.length ? "" : said;
      ways.replaceChildren(...rest.filter(Boolean));
      list.show(rows);
    },
  };
}

/** As many rows as one looks at, with a link to all. @returns {[any[], Node | null]} */
function some(view, name, rows) {
  if (rows.length <= FEW || view.get("all") === name) return [rows, null];
  return [rows.slice(0, FEW), h("a", { class: "button", href: view.url({ all: name }) }, `All ${count(rows.length)}`)];
}

const nobody = () => empty("No gateway", h("span", {}, withCode("The placement of this system has no `[gateway]`: its public address serves all there is to anybody, as often as it is asked. With that table, routes, limits, bans and refusals are here.")));

function summary({ routes, limits, concurrency, banned, bans_there: bansThere }) {
  const now = routes.map((each) => each.last_minute);
  const sum = (name) => now.reduce((total, each) => total + each[name], 0);
  const [admitted, refused] = [sum("admitted"), sum("refused")];
  const failed = admitted ? now.reduce((total, each) => total + each.failed * each.admitted, 0) / admitted : 0;
  const slowest = now.reduce((most, each) => Math.max(most, each.p99 ?? -1), -1);
  const waiting = limits.reduce((total, each) => total + each.waiting, 0);
  return [
    figure("Let in", rate(admitted), { hint: "Requests of the last minute" }),
    figure("Refused", rate(refused), { hint: "Requests of the last minute", more: h("span", { class: "soft" }, admitted + refused ? share(refused / (admitted + refused)) : "") }),
    figure("Failed", share(failed), { grave: failedMark(failed), hint: "Of what was let in, answers with 500 and above" }),
    figure("Slowest p99", slowest < 0 ? "–" : duration(slowest), { hint: "Of the routes, in the last minute: until the answer began" }),
    ...(limits.length ? [figure("Waiting", count(waiting), { hint: "Requests that wait for their turn in a limit" })] : []),
    ...(concurrency.length ? [figure("In flight", count(concurrency.reduce((total, each) => total + each.inside, 0)), { hint: "Of limits on requests at once" })] : []),
    ...(bansThere ? [figure("Banned", count(banned))] : []),
  ];
}
