// Buttons that change something: who only looks on finds them, disabled, with the reason.

import { tell } from "./confirm.js";
import { h } from "./dom.js";
import { mayAct } from "./session.js";

const WHY_NOT = "You look on as a viewer. Sign in by the operator's link to change something: the run prints it, and so does `meristem dashboard`.";

/**
 * A button that changes something, for who may; of the others it is disabled and says why, also when it is pressed.
 * @param {(string | Node)[] | string} content @param {() => void} work @param {Record<string, any>} [properties]
 */
export function acting(content, work, properties = {}) {
  const button = h("button", { class: "button", type: "button", ...properties }, content);
  button.addEventListener("click", () => isRefused(button) || work());
  return onlyActing(button);
}

/** The same of a button that is there: a form's, which asks `isRefused` before it is sent. @param {HTMLElement} button */
export function onlyActing(button) {
  mayAct().then((may) => {
    if (may) return;
    // Not `disabled`: then neither a key nor a screen reader would come to the reason.
    button.setAttribute("aria-disabled", "true");
    button.setAttribute("aria-describedby", reason().id);
    button.title = WHY_NOT;
  });
  return button;
}

/** Whether a button is not for who looks on, who is told so then. @param {HTMLElement} button */
export function isRefused(button) {
  const refused = button.getAttribute("aria-disabled") === "true";
  if (refused) tell(WHY_NOT);
  return refused;
}

function reason() {
  let place = document.querySelector("#why-not");
  if (!place) {
    place = h("p", { id: "why-not", hidden: true }, WHY_NOT);
    document.body.append(place);
  }
  return place;
}
