"""The contract on events for operators: who publishes and hears what, what waits, and dead letters."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import operation, safe
from meristem.operators.search_bounds import Most, RowNumber, SoughtText

SubscriberKind: TypeAlias = Literal["service", "webhook", "broker", "gone"]
PATIENCE = 10.0  # seconds for a look, which may have to search and to ask a broker
LASTING = 120.0  # seconds for a change of as many dead letters as there are


class EventTypeView(Message):
    """A type of event, the services that publish it, and those that hear it.

    From outside it is `accepted_from` users with one of these roles, and `webhooks` hear it there.
    """

    type: str
    publishers: list[str]
    subscribers: list[str]
    accepted_from: list[str] = []
    webhooks: list[str] = []


class SubscriberView(Message):
    """How a subscriber is doing: what waits for it in outboxes, what a broker still has for it, what is dead.

    Of `failed` events the last attempt failed. `lag` is None where no broker has anything for it, or could not be
    asked; `oldest` is when the first that waits was published, in seconds since 1970. A `broker` is owed what it is to
    carry; one that is `gone` is no part of the system any more.
    """

    name: str
    waiting: int = 0
    oldest: float | None = None
    failed: int = 0
    lag: int | None = None
    dead: int = 0
    kind: SubscriberKind = "service"


class WaitingView(Message):
    """The events that a subscriber is owed: how many, and since when, in seconds since 1970.

    Of `failed` of them the last attempt failed; the first of these is tried again at `due_at`, and failed by `error`.
    """

    subscriber: str
    count: int
    oldest: float
    failed: int = 0
    due_at: float | None = None
    error: str | None = None


class OutboxView(Message):
    """What a publishing service owes, by subscriber, and how many of its events are dead, by subscriber too."""

    service: str
    waiting: list[WaitingView]
    dead: dict[str, int]


class EventOverview(Message):
    """All events of a system, and how they are doing.

    `unreachable` says why a broker could not be asked for the lag, `unread` of which services' code is not importable
    where this was told, `silent` are services that did not answer: what they know is missing here.
    """

    events: list[EventTypeView]
    subscribers: list[SubscriberView]
    outboxes: list[OutboxView]
    unreachable: str | None = None
    unread: dict[str, str] = {}
    silent: list[str] = []


class LettersLike(Message):
    """Which dead letters: all unless it says less.

    Those that a service published, of a subscriber and a type, published `since` (seconds since 1970), which have a
    `text` in their reason, type, key, id or data.
    """

    service: SoughtText = ""
    subscriber: SoughtText = ""
    type: SoughtText = ""
    text: SoughtText = ""
    since: float | None = None


class LetterSearch(Message):
    """Which dead letters to list, at most so many, the newest first; with their `values`, or without what they say.

    `before` and `after` are where another page ended (`DeadLetterPage.next`): those that follow there. With `after`,
    which may be empty, the oldest come first.
    """

    like: LettersLike = LettersLike()
    before: dict[str, RowNumber] | None = None
    after: dict[str, RowNumber] | None = None
    most: Most = 100
    values: bool = False


class DeadLetterView(Message):
    """An event that its subscriber did not handle: the last error, after how many attempts.

    `id` counts the dead letters of the `service` that published it. `created` is when it was published, in seconds
    since 1970. `trace_id` is empty where it was in no trace, `body` where values were not asked for: else that is the
    CloudEvent as JSON.
    """

    service: str
    id: int
    event_id: str
    type: str
    subscriber: str
    key: str
    error: str | None
    attempts: int
    created: float
    trace_id: str = ""
    body: str = ""


class DeadLetterPage(Message):
    """A page of dead letters; all that are alike are `total`, and there is `more` after this page.

    `next` is where it ended, `newest` the highest number of each service: what came later was not seen. Services that
    are `silent` did not answer: theirs are missing.
    """

    letters: list[DeadLetterView]
    total: int
    more: bool
    next: dict[str, int]
    newest: dict[str, int]
    silent: list[str] = []


class DeadLetterDetail(Message):
    """One dead letter and all that its event says; values of its `data` are masked unless they were asked for.

    `attributes` are those of CloudEvents. `data` is JSON, or what else `datacontenttype` says, in base64.
    """

    letter: DeadLetterView
    attributes: dict[str, str]
    data: str


class ChosenLetters(Message):
    """Dead letters to change: `numbers` by service, or all that are `like` that; just one of the two.

    `up_to` has numbers by service: what is like that and came later, or is of another service, is left as it is.
    """

    numbers: dict[str, list[RowNumber]] | None = None
    like: LettersLike | None = None
    up_to: dict[str, RowNumber] | None = None


class ChangedLetters(Message):
    """How many dead letters were changed, by service; of those that are `silent` nobody knows."""

    changed: dict[str, int]
    silent: list[str] = []


class EventPublication(Message):
    """An event that was published: to whom it is owed, by the names under which these are kept."""

    id: str
    type: str
    publisher: str
    destinations: list[str]


class Events(Contract, Protocol, package="meristem.operator.v1"):
    """What operators see of a system's events, and what they may do about those that were not handled."""

    @safe(timeout=PATIENCE)
    async def overview(self, service: str) -> EventOverview:
        """All events, subscribers and outboxes; the outbox of one service where that is named."""
        ...

    @safe(timeout=PATIENCE)
    async def dead(self, search: LetterSearch) -> DeadLetterPage:
        """The dead letters that are like that; see `LetterSearch` for their order."""
        ...

    @safe(timeout=PATIENCE)
    async def letter(self, service: str, number: RowNumber, *, values: bool = False) -> DeadLetterDetail:
        """One dead letter; raises `not_found` where it is none, or none any more."""
        ...

    @operation(timeout=LASTING)
    async def redrive(self, chosen: ChosenLetters) -> ChangedLetters:
        """Deliver dead letters again, as if they were new."""
        ...

    @operation(timeout=LASTING)
    async def discard(self, chosen: ChosenLetters) -> ChangedLetters:
        """Give dead letters up for good; of a subscriber that the system has no more also what still waits for it."""
        ...

    @operation(timeout=PATIENCE)
    async def publish(self, service: str, type: str, data: str) -> EventPublication:  # noqa: A002 - its name on the wire
        """Put an event into the outbox of a service; `data` is its fields as JSON."""
        ...
