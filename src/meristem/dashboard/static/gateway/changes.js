// What operators change at the gateway: whom it keeps out, and whom it lets in again.

import { ask } from "../parts/ask.js";
import { confirm } from "../parts/confirm.js";
import { h } from "../parts/dom.js";
import { plural } from "../parts/format.js";

const TIMES = [["600", "10 minutes"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]];
const silentOnes = (silent) => (silent.length ? ` ${silent.join(", ")} did not answer: look again when it does.` : "");

/** Ask whom to ban and for how long, and do it. @param {string} address may be another one still @param {() => void} refresh */
export async function ban(address, refresh) {
  const whom = h("input", { type: "text", value: address, required: true, maxlength: "64", spellcheck: "false", autocomplete: "off", placeholder: "192.0.2.7 or 2001:db8::7" });
  const time = h("select", {}, TIMES.map(([value, text]) => h("option", { value }, text)));
  const why = h("input", { type: "text", maxlength: "200", autocomplete: "off", placeholder: "optional, told where bans are listed" });
  const asked = (text, field) => h("label", { class: "asked" }, h("span", {}, text), field);
  const done = await confirm({
    title: "Ban an address?", action: "Ban it", grave: true, fields: [asked("Address", whom), asked("For", time), asked("Why", why)],
    says: ["Every request from it is refused, whatever it asks for, in every replica of the edge. Of IPv6 its network of 64 bits is meant. Behind a proxy that is not trusted, all clients come from the proxy's address."],
    work: async () => {
      const named = whom.value.trim();
      const { replicas, silent } = await ask("GatewayControl/ban", { address: named, seconds: Number(time.value), why: why.value.trim() });
      return `${named} is banned in ${plural(replicas, "replica")}.${silentOnes(silent)}`;
    },
  });
  if (done) refresh();
}

/** Ask whether an address is to be let in again, and do it. @param {string} address @param {() => void} refresh */
export async function unban(address, refresh) {
  const done = await confirm({
    title: `Let ${address} in again?`, action: "Unban it",
    says: ["Its requests are let in at once, in every replica of the edge, and what it did until now counts no more. What it does from now on may have it banned again."],
    work: async () => {
      const { replicas, silent } = await ask("GatewayControl/unban", { address });
      return `${replicas ? `${address} may come in again.` : `${address} was not banned any more.`}${silentOnes(silent)}`;
    },
  });
  if (done) refresh();
}
