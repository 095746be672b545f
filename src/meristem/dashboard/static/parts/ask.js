// Asks the operator contracts: Connect's unary calls in JSON, see docs/http-api.md.

const PACKAGE = "/meristem.operator.v1.";

/** What the system said to a question that it could not answer, with the code of that, or that it said nothing. */
export class AskError extends Error {
  /** @param {string} message @param {string} [code] */
  constructor(message, code = "") {
    super(message);
    this.code = code;
  }
}

/**
 * Ask an operation of `Operator`, or of another contract by its name: `Actions/session`. A reply that is a list stands
 * in `result` on the wire; an operation that takes one message takes that message's fields.
 * @param {string} operation @param {object} [parameters] @param {AbortSignal} [signal]
 */
export async function ask(operation, parameters = {}, signal = undefined) {
  const [name, contract = "Operator"] = operation.split("/").reverse();
  const answer = await fetch(`${PACKAGE}${contract}/${name[0].toUpperCase()}${name.slice(1)}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(parameters),
    signal,
  }).catch((error) => {
    throw signal?.aborted ? error : new AskError("The system can't be reached; what is shown is of before.");
  });
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new AskError(told?.message || `${operation} was answered by ${answer.status} ${answer.statusText}`, told?.code);
  // A message may have a field of that name beside others.
  return told && "result" in told && Object.keys(told).length === 1 ? told.result : told;
}
