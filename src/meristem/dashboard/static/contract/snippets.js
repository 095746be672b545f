// The call of the form as code, which works as it stands.

import { ask } from "../parts/ask.js";
import { h, later } from "../parts/dom.js";

/** @param {import("../parts/view.js").View} view @param {() => any} asked @param {HTMLFormElement} form */
export function snippets(view, asked, form) {
  const names = h("div", { class: "pick", role: "group", "aria-label": "Language" });
  const body = h("div", { class: "stack" });
  const element = h("details", { class: "snippets" }, h("summary", {}, "As code: curl, Python, TypeScript, command"), h("div", { class: "stack" }, names, body));
  let known = [];
  let chosen = "curl";
  let begun = 0;

  const show = () => {
    names.replaceChildren(...known.map(({ language }) => h("button", { type: "button", class: "button", "aria-pressed": String(language === chosen), "data-language": language, on: { click: () => { chosen = language; show(); names.querySelector("[aria-pressed=true]").focus(); } } }, language)));
    const found = known.find((each) => each.language === chosen);
    if (!found) return;
    body.replaceChildren(...[
      found.remark ? h("p", { class: "soft" }, found.remark) : null,
      found.text ? h("div", { class: "code" }, h("pre", { class: "said", tabindex: "0", role: "region", "aria-label": `${chosen} code` }, found.text), copier(found.text)) : null,
    ].filter(Boolean));
  };
  const load = async () => {
    if (!element.open) return;
    const own = ++begun;
    try {
      const told = await ask("Catalogue/snippets", asked(), view.signal);
      if (own !== begun) return;
      known = told;
      show();
    } catch (error) {
      if (own === begun && !view.signal.aborted) body.replaceChildren(h("p", { class: "soft" }, `It can't be written yet: ${error.message}`));
    }
  };
  element.addEventListener("toggle", load);
  form.addEventListener("input", later(400, load));
  form.addEventListener("click", later(400, load));
  return element;
}

function copier(text) {
  const button = h("button", { class: "button", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    button.textContent = "Copied";
  });
  return button;
}
