"""What operators ask of sagas: which there are, what one waits for, and that it goes on, ends or begins again."""

from __future__ import annotations

from typing import Protocol

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import operation, safe
from meristem.operators.search_bounds import Moment, Most, SoughtFields, SoughtText
from meristem.sagas.records import SagaState
from meristem.sagas.saga_views import KeptSignal, SagaDetails, SagaSummary


class SagaPlace(Message):
    """Where a page of sagas ended: when its last one began, and its id."""

    created: Moment
    id: SoughtText


class SagaSearch(Message):
    """Which sagas: in any of these states, of one name and service, begun `before` or `since` a time.

    `id` is the begin of an id; one that is given whole finds no other. `where` are values of fields by which sagas are
    found. `text` is either: the begin of an id, or the value of any such field. `after` gives the next page.
    """

    states: list[SagaState] = []
    name: SoughtText = ""
    service: SoughtText = ""
    id: SoughtText = ""
    text: SoughtText = ""
    where: SoughtFields = {}
    before: Moment | None = None
    since: Moment | None = None
    after: SagaPlace | None = None
    most: Most = 100


class FoundSaga(Message):
    """A saga and the service whose it is."""

    service: str
    saga: SagaSummary


class FoundSagas(Message):
    """Sagas of all `services` that were asked, the newest first; there are `more` than were asked for.

    Services that are `silent` did not answer, so theirs are missing.
    """

    sagas: list[FoundSaga]
    services: list[str]
    more: bool = False
    silent: list[str] = []


class ChangedBatch(Message):
    """Sagas of a service that were changed, the newest first; where there may be more, they follow `after` the `next`.

    So that nobody waits for all of them, and who asks sees how far it is, and can leave it at that.
    """

    sagas: list[SagaSummary]
    next: SagaPlace | None = None


class SearchableField(Message):
    """A field by which sagas of a name are found; not `whole` as long as old ones are still added to the index."""

    saga: str
    field: str
    whole: bool


class SagasOfService(Message):
    """The sagas of a service: the names that its code has, how many are in each state that is no end, search fields."""

    service: str
    names: list[str]
    counts: dict[str, int]
    fields: list[SearchableField]


class SagaOverview(Message):
    """Which services have sagas, in the order of their names; those that are `silent` did not answer."""

    services: list[SagasOfService]
    silent: list[str] = []


class RepeatedStep(Message):
    """A step that a fork does anew."""

    position: str
    name: str


class ForkedSaga(Message):
    """A fork: it has its first answers from the saga `fork_of`, whose place it `takes_over` if that one was parked.

    It does the steps `again`. `signals` are those that the other one was sent and has not read.
    """

    saga: SagaSummary
    fork_of: str
    takes_over: bool
    again: list[RepeatedStep]
    signals: list[KeptSignal]


class SagaOperations(Contract, Protocol, package="meristem.operator.v1"):
    """The sagas of a running system. What can't be done to one is refused with `failed_precondition` and why."""

    @safe
    async def overview(self) -> SagaOverview:
        """Which sagas there can be, how many go on, wait or are parked, and by which fields they are found."""
        ...

    @safe
    async def find(self, search: SagaSearch) -> FoundSagas:
        """Sagas of all services, the newest first."""
        ...

    @safe
    async def show(self, service: str, saga_id: str, *, values: bool = False) -> SagaDetails:
        """One saga with its steps, and what it waits for; `not_found`.

        What it was given and what it got is there with `values` alone: that may be private.
        """
        ...

    @operation
    async def retry(self, service: str, saga_id: str) -> SagaSummary:
        """Let a parked saga go on where it stopped."""
        ...

    @operation(timeout=30.0)
    async def retry_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        """Let parked sagas of a service go on, or those of a name: 500 at most, those that come `after` a place."""
        ...

    @operation
    async def cancel(self, service: str, saga_id: str) -> SagaSummary:
        """Have a saga undo what it did."""
        ...

    @operation(timeout=30.0)
    async def cancel_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        """Have sagas of a service that go on, or those of a name, undo what they did; which ones: see `retry_some`."""
        ...

    @operation(timeout=30.0)
    async def fork(self, service: str, saga_id: str, position: str) -> ForkedSaga:
        """Begin a saga again at one of its steps: a new one, with the answers up to there.

        The code is tried with those answers first; where it does not follow them, nothing is begun.
        """
        ...

    @operation
    async def signal(self, service: str, saga_id: str, name: str, body: str) -> SagaSummary:
        """Send a signal, whose JSON is `body`, to a saga that gets it as soon as it waits for it."""
        ...
