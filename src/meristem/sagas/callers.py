"""Who waits for a saga, and what they are told when it rests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
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

    def __init__(self, saga_id: str, request: str, owner: str) -> None:
        self.saga_id = saga_id
        self.request = request
        self.owner = owner
        self.count = 0
        self.at_once = False  # whether the saga's row is written before the function begins: somebody waits for that
        loop = asyncio.get_running_loop()
        self.stored: asyncio.Future[None] = loop.create_future()
        self.rested: asyncio.Future[SagaRow | Exception] = loop.create_future()

    @property
    def begun(self) -> bool:
        """Whether the saga's row is in the journal, and so whether others may bring it to rest."""
        return self.stored.done()

    def begin(self) -> None:
        """The saga's row is in the journal."""
        if not self.stored.done():
            self.stored.set_result(None)

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

    async def storing(self, name: str, seconds: float | None) -> None:
        """Wait until the saga is stored; raises why it is not, CallError `deadline_exceeded` after `seconds`."""
        waiting: set[asyncio.Future[Any]] = {self.rested, self.stored}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self.rested.done() and isinstance(error := self.rested.result(), Exception):
            raise error
        if not self.stored.done() and not self.rested.done():
            raise CallError(Code.DEADLINE_EXCEEDED, f"{name} was not stored in time; start it again under the same key")


class CallerRegistry:
    """Who waits for which saga here; a saga is known while somebody waits, or while this process works on it.

    Those who come after a saga's callers were told are callers of their own, also while the first ones still leave.
    """

    def __init__(self, *, is_worked_on: Callable[[str], bool]) -> None:
        self._is_worked_on = is_worked_on
        self._known: dict[str, Callers] = {}

    def __iter__(self) -> Iterator[Callers]:
        return iter(list(self._known.values()))

    def of(self, saga_id: str) -> Callers | None:
        """The callers of a saga that have not been told yet."""
        return self._known.get(saga_id)

    def add(self, callers: Callers) -> Callers:
        """Know them as the callers of their saga."""
        self._known[callers.saga_id] = callers
        return callers

    @contextlib.contextmanager
    def waiting(self, callers: Callers) -> Iterator[None]:
        """One of them waits meanwhile."""
        callers.count += 1
        try:
            yield
        finally:
            callers.count -= 1
            if not callers.count and callers.begun and not self._is_worked_on(callers.saga_id):
                self._forget(callers)

    def resolve(self, saga_id: str, outcome: SagaRow | Exception) -> None:
        """Tell whoever waits for this saga."""
        if (callers := self.of(saga_id)) is not None:
            self.answer(callers, outcome)

    def answer(self, callers: Callers, outcome: SagaRow | Exception) -> None:
        """Tell these callers and no others."""
        self._forget(callers)
        callers.resolve(outcome)

    def _forget(self, callers: Callers) -> None:
        if self.of(callers.saga_id) is callers:
            del self._known[callers.saga_id]


def answer_of(definition: Definition, outcome: SagaRow | Exception) -> Any:
    """A saga's answer as its caller gets it; each caller gets values of its own."""
    if isinstance(outcome, Exception):
        raise outcome
    # Read from the row for each caller: also the first one gets what a restarted process would give.
    if outcome.state is SagaState.DONE:
        return decoder(definition.returns)(outcome.result or "null")
    if outcome.state is SagaState.FAILED and outcome.error is not None:
        failure = read(outcome.error)
        if failure.details:
            logger.error("%s failed by a bug and was undone: `meristem sagas show %s`", definition.name, outcome.id)
            raise internal(f"saga {definition.name}")
        raise revive(failure)
    raise SagaParked(outcome.id, outcome.problem or "")
