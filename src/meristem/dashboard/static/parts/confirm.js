// Asks before something is changed, does it, and tells how that went.

import { h } from "./dom.js";

/**
 * `action` names what is done, `says` what will happen; `fields` are asked for in the dialog; `work` does it and gives
 * what to tell. What goes wrong is told in the dialog, which stays open. Gives whether it was done. Work of many parts
 * says by `part.so(text)` how far it is; from then on it can be stopped, and ends where `part.isStopped`.
 * @typedef {{so: (text: string) => void, isStopped: boolean}} Part
 * @param {{title: string, says: (string | Node)[], action: string, work: (part: Part) => Promise<string>, fields?: Node[],
 *   grave?: boolean, dismiss?: string}} options
 * @returns {Promise<boolean>}
 */
export function confirm({ title, says, action, work, fields = [], grave = false, dismiss = "Cancel" }) {
  const problem = h("p", { class: "bad", role: "alert" });
  const far = h("p", { class: "soft", role: "status" });
  const leave = h("button", { class: "button", type: "button", autofocus: true }, dismiss);
  const go = h("button", { class: grave ? "button grave" : "button primary", type: "submit" }, action);
  const dialog = h("dialog", { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-says" },
    h("h2", { id: "confirm-title" }, title),
    h("form", { method: "dialog" },
      h("div", { id: "confirm-says", class: "says" }, says.map((each) => (typeof each === "string" ? h("p", {}, each) : each))),
      ...fields, far, problem, h("div", { class: "choices" }, leave, go)));
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  leave.focus();
  return new Promise((done) => {
    let isDone = false;
    let working = false;
    /** @type {Part} */
    const part = {
      isStopped: false,
      so(text) {
        far.textContent = text;
        if (leave.textContent === "Stop") return;
        leave.textContent = "Stop";
        leave.disabled = false;
      },
    };
    leave.addEventListener("click", () => {
      if (!working) dialog.close();
      else part.isStopped = leave.disabled = true;
    });
    dialog.addEventListener("click", (event) => event.target === dialog && !working && dialog.close());
    dialog.addEventListener("cancel", (event) => working && event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      done(isDone);
    });
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      if (working) return;
      working = go.disabled = leave.disabled = true;
      problem.textContent = "";
      try {
        const said = await work(part);
        isDone = true;
        dialog.close();
        tell(said);
      } catch (error) {
        problem.textContent = error.message;
      } finally {
        working = go.disabled = leave.disabled = part.isStopped = false;
        leave.textContent = dismiss;
      }
    });
  });
}

const STAYS = 8000; // milliseconds

/** Say a result where it is seen and read aloud. @param {string} text */
export function tell(text) {
  let place = document.querySelector("#told");
  if (!place) {
    place = h("p", { id: "told", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  clearTimeout(Number(place.dataset.timer));
  place.textContent = text;
  place.dataset.timer = String(setTimeout(() => { place.textContent = ""; }, STAYS));
}
