// Who looks on: an operator may act, a viewer only looks.

import { ask } from "./ask.js";

/** @type {Promise<{role: string, means: string}> | null} */
let asked = null;

/** The role, and how it was shown; asked for once. */
export function session() {
  asked ??= ask("Actions/session").catch((error) => { asked = null; throw error; });
  return asked;
}

/** Whether who looks on may act; what is not known is left to the system, which refuses by itself. */
export const mayAct = () => session().then(({ role }) => role === "operator", () => true);
