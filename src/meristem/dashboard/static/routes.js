// The pages: each is a file and a line here. `key` follows g on the keyboard, `icon` is a path in a box of 16.
// One with `where` is listed where the system says so of itself.

/** @typedef {{path: string, title: string, load: () => Promise<{open: Function}>, key?: string, icon?: string, of?: string, where?: string}} Route */

/** @type {Route[]} */
export const PAGES = [
  { path: "/map", title: "Map", key: "m", load: () => import("./pages/map.js"), icon: "M2 3h4v3H2zM10 2h4v3h-4zM10 10h4v4h-4zM6 4.5h4M6 4.5C9 5 7 12 10 12" },
  { path: "/traces", title: "Traces", key: "t", load: () => import("./pages/traces.js"), icon: "M2 3h7M5 6.5h8M5 10h4M9 13.5h5" },
  { path: "/logs", title: "Logs", key: "l", load: () => import("./pages/logs.js"), icon: "M2 3h12M2 6.5h9M2 10h12M2 13.5h6" },
  { path: "/errors", title: "Errors", key: "e", load: () => import("./pages/errors.js"), icon: "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.6v.01" },
  { path: "/sagas", title: "Sagas", key: "s", load: () => import("./pages/sagas.js"), icon: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3" },
  { path: "/events", title: "Events", key: "v", load: () => import("./pages/events.js"), icon: "M2.5 8h2.2M8 2.5v2.2M4.1 4.1l1.6 1.6M11.5 8a3.5 3.5 0 1 0-3.5 3.5M8 8l6 2.2-2.6 1.1-1.1 2.7z" },
  { path: "/operations", title: "Operations", key: "o", load: () => import("./pages/operations.js"), icon: "M2 13.5h12M2 10.5l3.5-4 3 2.5L14 3" },
  { path: "/processes", title: "Processes", key: "p", load: () => import("./pages/processes.js"), icon: "M2 2.5h12v4.5H2zM2 9.5h12V14H2zM4.5 4.75h.01M4.5 11.75h.01" },
  { path: "/gateway", title: "Gateway", key: "w", load: () => import("./pages/gateway.js"), icon: "M8 1.5l5.5 2v4c0 3.4-2.2 5.7-5.5 7-3.3-1.3-5.5-3.6-5.5-7v-4zM5.5 8l1.9 1.9L10.7 6.5", where: "has_gateway" },
  { path: "/contracts", title: "Contracts", key: "c", load: () => import("./pages/contracts.js"), icon: "M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3M5.5 8h5M5.5 11h3" },
  { path: "/settings", title: "Settings", key: ",", load: () => import("./pages/settings.js"), icon: "M2 4.5h7M12.5 4.5H14M2 11.5h1.5M7 11.5h7M9 3h3.5v3H9zM3.5 10H7v3H3.5z" },
  { path: "/actions", title: "Actions", key: "a", load: () => import("./pages/actions.js"), icon: "M3 2.5h10v11H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3" },
];

/** Places within a page. */
export const PLACES = [
  { path: "/contracts/:service/:name", title: "Contract", of: "/contracts", load: () => import("./contract/page.js") },
  { path: "/traces/:id", title: "Trace", of: "/traces", load: () => import("./trace/page.js") },
  { path: "/sagas/:service/:id", title: "Saga", of: "/sagas", load: () => import("./saga/page.js") },
  { path: "/events/dead", title: "Dead letters", of: "/events", load: () => import("./events/dead.js") },
];
