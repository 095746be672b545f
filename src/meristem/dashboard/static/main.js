// Begins it all: the list of pages, the scheme, the keys, the link to the system, and the page of this address.

import { ask } from "./parts/ask.js";
import { h, icon } from "./parts/dom.js";
import { learn } from "./parts/hues.js";
import { listenToKeys } from "./parts/keys.js";
import { begin, onState } from "./parts/live.js";
import { session } from "./parts/session.js";
import { startRouter } from "./parts/router.js";
import { PAGES, PLACES } from "./routes.js";

const LINK = {
  starting: ["", ""],
  live: ["Live", "What is shown follows the system"],
  paused: ["Paused", "Nothing is asked while the page is not seen"],
  lost: ["Connection lost", "Tried again until it is back; what is shown is of before"],
};

function listPages() {
  document.querySelector("#pages").replaceChildren(
    ...PAGES.map((page) => h("li", { hidden: page.where && !kept(page.where) },
      h("a", { href: page.path, "data-page": page.path },
        icon(page.icon), h("span", {}, page.title), h("kbd", { "aria-hidden": "true" }, `g ${page.key}`)))),
  );
}

/** What the system said of itself the last time, so that the list stays as it is while it is asked. @param {string} name */
function kept(name) {
  try { return localStorage.getItem(name) === "1"; } catch { return false; }
}

/** List the pages of what the system has. @param {Record<string, any>} told */
function listWhere(told) {
  for (const { path, where } of PAGES) {
    if (!where) continue;
    document.querySelector(`#pages [data-page="${path}"]`).parentElement.hidden = !told[where];
    try { localStorage.setItem(where, told[where] ? "1" : "0"); } catch { /* it is asked each time, then */ }
  }
}

function offerScheme() {
  document.querySelector("#theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts as long as the page, then */ }
    document.dispatchEvent(new Event("schemechange"));
  });
}

function showLink() {
  const link = document.querySelector("#link");
  onState((state) => {
    const [text, title] = LINK[state];
    link.dataset.state = state;
    link.textContent = text;
    link.title = title;
  });
}

async function nameSystem() {
  const told = await ask("system").catch(() => ({ system: "", nodes: [] }));
  const { system, nodes } = told;
  learn(nodes.filter((each) => each.kind === "service" || each.kind === "app").map((each) => each.name));
  if (!system) return;
  listWhere(told);
  document.querySelector("#system").textContent = system;
  document.documentElement.dataset.system = system;
  document.title = document.title.replace(/Dashboard$/, system);
}

async function showSession() {
  const { role, means } = await session().catch(() => ({ role: "", means: "" }));
  document.querySelector("#role").hidden = role !== "viewer";
  const leave = document.querySelector("#leave");
  leave.hidden = means !== "cookie";
  leave.addEventListener("click", async () => {
    await fetch("/sign-out", { method: "POST" }).catch(() => null);
    location.assign("/");
  });
}

listPages();
offerScheme();
showLink();
listenToKeys(PAGES);
begin(); // first, so that a page knows what its first answer is as new as
startRouter([...PAGES, ...PLACES]);
nameSystem();
showSession();
