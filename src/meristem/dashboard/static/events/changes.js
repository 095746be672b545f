// Redrive and discard: what is asked before, what is told after.

import { ask } from "../parts/ask.js";
import { confirm } from "../parts/confirm.js";
import { count, plural, unqualified } from "../parts/format.js";

/**
 * The letters by themselves, or all that are `like` that and were there when that was seen (`upTo`); `gone` where their
 * subscriber is no part of the system.
 * @typedef {{letters?: any[], like?: object, upTo?: Record<string, number>, total?: number, isSome?: boolean, gone?: boolean, done: () => void}} Which
 */

/** @param {Which} which */
export const redrive = (which) => change(which, {
  operation: "redrive", title: (what) => `Redrive ${what}?`, action: "Redrive",
  says: (many) => [
    `${many ? "They are" : "It is"} delivered again, as if ${many ? "they were" : "it were"} new: with all attempts, and after what came of the same key meanwhile.`,
    "Where the cause is not mended, what fails again is a dead letter again.",
  ],
  told: (number) => `${plural(number, "event")} ${number === 1 ? "is" : "are"} delivered again.`,
});

/** @param {Which} which */
export const discard = (which) => change(which, {
  operation: "discard", title: (what) => `Discard ${what}?`, action: "Discard", grave: true,
  says: (many, gone) => [
    `${many ? "They are" : "It is"} deleted for good. ${many ? "Their subscribers" : "Its subscriber"} will never hear of ${many ? "them" : "it"}.`,
    ...(gone ? ["Its subscriber is no part of this system: what still waits for it is given up as well."] : []),
  ],
  told: (number) => `${plural(number, "event")} ${number === 1 ? "is" : "are"} discarded.`,
});

async function change(which, { operation, title, action, grave = false, says, told }) {
  const number = which.letters ? which.letters.length : which.total;
  const many = number !== 1;
  const isDone = await confirm({
    title: title(whatOf(which, number)), says: says(many, which.gone), action: many ? `${action} ${count(number)}` : action, grave,
    work: async () => {
      const { changed, silent } = await ask(`Events/${operation}`, chosen(which));
      const sum = Object.values(changed).reduce((total, each) => total + each, 0);
      return silent.length ? `${told(sum)} ${silent.join(", ")} did not answer: look what is left there.` : told(sum);
    },
  });
  if (isDone) which.done();
}

function whatOf({ letters, isSome }, number) {
  if (letters?.length === 1) return `${unqualified(letters[0].type)} for ${letters[0].subscriber}`;
  if (letters) return `${count(number)} chosen dead letters`;
  return number === 1 ? "the dead letter" : `all ${count(number)} dead letters${isSome ? " that are like that" : ""}`;
}

/** What the contract takes: numbers by service, or what they are like and up to which they were seen. */
function chosen({ letters, like, upTo }) {
  if (!letters) return { like, up_to: upTo };
  /** @type {Record<string, number[]>} */
  const numbers = {};
  for (const each of letters) (numbers[each.service] ??= []).push(each.id);
  return { numbers };
}
