"""Who waits for a saga, and what they are told when it rests."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from meristem.contracts.codec import decoder
from meristem.contracts.undeclared import internal
from meristem.errors import CallError, Code, SagaParked
from meristem.sagas.failures import read, revive
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.saga import Definition

logger = logging.getLogger(__name__)


class Callers:
    """The callers that wait for one saga; `rested` gets its row, or why there is none."""

    def __init__(self, saga_id: str, input_: str, owner: str) -> None:
        self.saga_id = saga_id
        self.input = input_
        self.owner = owner
        self.count = 0
        self.begun = False  # whether the saga's row is in the journal, and so whether others may bring it to rest
        self.rested: asyncio.Future[SagaRow | Exception] = asyncio.get_running_loop().create_future()

    def resolve(self, outcome: SagaRow | Exception) -> None:
        """Tell all of them."""
        if not self.rested.done():
            self.rested.set_result(outcome)

    async def outcome(self, name: str, seconds: float | None) -> SagaRow | Exception:
        """What the saga came to; raises CallError `deadline_exceeded` when it has not rested after `seconds`."""
        done, _ = await asyncio.wait({self.rested}, timeout=seconds)
        if not done:
            text = f"{name} was not done in time and goes on; ask again with the same idempotency key"
            raise CallError(Code.DEADLINE_EXCEEDED, text)
        return self.rested.result()


def answer_of(definition: Definition, outcome: SagaRow | Exception) -> Any:
    """A saga's answer as its caller gets it; each caller gets values of its own."""
    if isinstance(outcome, Exception):
        raise outcome
    # Read from the row for each caller: also the first one gets what a restarted process would give.
    if outcome.state is SagaState.DONE:
        return decoder(definition.returns)(outcome.result or "null")  # type: ignore[arg-type]
    if outcome.state is SagaState.FAILED and outcome.error is not None:
        failure = read(outcome.error)
        if failure.details:
            logger.error("%s failed by a bug and was undone: `meristem sagas show %s`", definition.name, outcome.id)
            raise internal(f"saga {definition.name}")
        raise revive(failure)
    raise SagaParked(outcome.id, outcome.problem or "")
