// From addresses to pages. Links are plain links; this makes them quick.

import { AskError } from "./ask.js";
import { h } from "./dom.js";
import { View } from "./view.js";

/** @type {View | null} */
let view = null;
/** @type {import("../routes.js").Route[]} */
let routes = [];

/** The page that is open. */
export const open = () => view;

/** Show the page of this address, and of each to come. @param {import("../routes.js").Route[]} known */
export function startRouter(known) {
  routes = known;
  if (location.pathname === "/") history.replaceState(null, "", "/map");
  addEventListener("popstate", () => show(false));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const url = link?.getAttribute("href");
    if (!url?.startsWith("/") || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(url);
  });
  show(true);
}

/** Go to an address of the dashboard. @param {string} url @param {{replace?: boolean}} [options] */
export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  show(false);
}

function found(path) {
  for (const route of routes) {
    const names = [];
    const pattern = route.path.replace(/:(\w+)/g, (_, name) => (names.push(name), "([^/]+)"));
    const parts = new RegExp(`^${pattern}/?$`).exec(path);
    if (parts) return { route, params: Object.fromEntries(names.map((name, at) => [name, decoded(parts[at + 1])])) };
  }
  return null;
}

/** What a part of a path says; where it is not encoded rightly, as it stands: nothing is called so. @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function show(first) {
  const query = new URLSearchParams(location.search);
  if (view && view.path === location.pathname) {
    view.changed(query);
    return;
  }
  const target = found(location.pathname);
  view?.close();
  const root = document.querySelector("#main");
  const own = (view = new View(root, target?.params ?? {}, query, go));
  markCurrent(target?.route);
  if (!target) {
    root.replaceChildren(h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "There is no such page")),
      h("p", { class: "empty" }, "The address may be mistyped; the pages are listed beside."));
    return;
  }
  /** @type {{open: Function}} */
  let page;
  try {
    page = await target.route.load();
  } catch (error) {
    const answers = await isAnswering();
    if (own.signal.aborted || (answers && globalThis.reloadSoon())) return;
    root.replaceChildren(h("div", { class: "head" }, h("h1", { tabindex: "-1" }, target.route.title)));
    own.trouble(answers ? error : new AskError("The system can't be reached; this page is shown as soon as it is back."), () => location.reload());
    if (!answers) reloadWhenBack(own.signal);
    return;
  }
  if (own.signal.aborted) return;
  root.replaceChildren();
  page.open(own);
  scrollTo(0, 0);
  // The skip link comes first on a page that was just loaded; later a reader is told of the new page.
  if (!first) root.querySelector("h1")?.focus({ preventScroll: true });
}

/** Whether the system answers at all: a page that is loaded while it is down is the browser's own, which stays. */
const isAnswering = () => fetch("/health", { cache: "no-store" }).then(() => true, () => false);

/** A part that could not be loaded is had by loading the page again. @param {AbortSignal} signal */
function reloadWhenBack(signal) {
  setTimeout(async () => {
    if (signal.aborted) return;
    if (!document.hidden && await isAnswering()) location.reload();
    else reloadWhenBack(signal);
  }, 2000);
}

function markCurrent(route) {
  const current = route?.of ?? route?.path;
  for (const link of document.querySelectorAll("[data-page]")) {
    link.dataset.page === current ? select(link) : link.removeAttribute("aria-current");
  }
  titled(route?.title ?? "No such page");
}

/** On a phone the list of pages is longer than the screen is wide. */
function select(link) {
  link.setAttribute("aria-current", "page");
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Name the page in the window's title. @param {string} title */
export function titled(title) {
  document.title = `${title} · ${document.documentElement.dataset.system || "Dashboard"}`;
}
