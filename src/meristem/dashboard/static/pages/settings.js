// Settings: what each service was told, and by whom.

import { ask } from "../parts/ask.js";
import { choose, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service } from "../parts/marks.js";
import { table } from "../parts/table.js";

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const origins = choose(view, "origin", "Where it comes from", "From anywhere");
  const { count: counted } = heading(view, "Settings", search(view, "text", "Setting, value or variable"), services.field, origins.field);
  const list = table({ caption: "Settings by service, and where each comes from", columns: columns(view), key: (each) => `${each.part} ${each.name}` });
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  let known = null;

  const show = () => {
    if (!known) return;
    services.offer([...new Set(known.map((each) => each.part))].sort());
    origins.offer([...new Set(known.map((each) => each.origin))].sort());
    const text = view.get("text").toLowerCase();
    const shown = known.filter((each) => (!view.get("service") || each.part === view.get("service"))
      && (!view.get("origin") || each.origin === view.get("origin"))
      && `${each.name} ${each.value} ${each.variable}`.toLowerCase().includes(text));
    counted.textContent = known.length ? plural(shown.length, "setting") : "";
    if (!shown.length) {
      body.replaceChildren(known.length ? empty("No setting is like that", "Choose less to see the others.")
        : empty("No settings", "A service that asks for a class of settings in its constructor has them here."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(list.element);
    list.show(shown);
  };
  // What a process was told changes with its start alone.
  view.follow(["processes"], (signal) => ask("settings", {}, signal), (found) => {
    known = found.flatMap(({ part, settings }) => settings.map((each) => ({ part, ...each })));
    show();
  }, { pause: 10_000 });
  view.watch(show);
}

function columns(view) {
  return [
    { name: "name", title: "Setting", text: (each) => `${each.part} ${each.name}`, hint: (each) => `${each.part}: ${each.name}`,
      link: (each) => view.url({ service: each.part }), cell: (each) => [service(each.part), h("span", { class: "name" }, each.name)] },
    { name: "value", title: "Value", kind: "fill mono", text: (each) => each.value, hint: (each) => each.value },
    { name: "origin", title: "From", from: "wide", kind: "clip", text: (each) => each.origin, hint: (each) => each.origin },
    { name: "variable", title: "Variable", from: "wider", kind: "mono", text: (each) => each.variable },
  ];
}
