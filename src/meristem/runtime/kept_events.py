"""What the database of one service keeps of events, as operators see it and change it.

Imported only where there is a database: who has none does not pay for SQLAlchemy.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from meristem.context import Context
from meristem.errors import CallError, Code, Undeliverable
from meristem.events import statements
from meristem.events.cloudevents import data_of, is_json, read_json, write_attributes
from meristem.events.dead_letters import DeadLetters, LetterFilter
from meristem.events.delivery import Depth
from meristem.events.envelope import enclose
from meristem.events.outbox import Outbox
from meristem.events.waiting import waiting_in
from meristem.operators.event_contract import DeadLetterDetail, DeadLetterView, OutboxView, WaitingView
from meristem.redaction import SHOWN, mask_values, redact, redact_fields
from meristem.storage.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.clock import Clock
    from meristem.contracts.message import Event
    from meristem.events.dead_letters import DeadLetter, LetterCount
    from meristem.operators.event_contract import LetterSearch
    from meristem.storage.database import Database

LAST: Final = 2**63 - 1  # no number is higher
TRACE: Final = re.compile(r'"traceparent":"[0-9a-f]{2}-([0-9a-f]{32})-')


class KeptEvents:
    """The outbox and the dead letters of a service; `called` gives a subscriber's name of now."""

    def __init__(self, service: str, database: Database, clock: Clock, called: Callable[[str], str]) -> None:
        self.service = service
        self._database = database
        self._clock = clock
        self._called = called
        self._letters = DeadLetters(database, clock)

    async def outbox(self) -> OutboxView:
        """What it owes."""
        waiting = [
            WaitingView(
                subscriber=self._called(each.subscriber),
                count=each.count,
                oldest=each.oldest,
                failed=each.failed,
                due_at=each.due_at,
                error=None if each.error is None else redact(each.error),
            )
            for each in await waiting_in(self._database)
        ]
        dead: dict[str, int] = {}
        for each in await self._database.fetch_all(statements.DEAD, into=Depth):
            name = self._called(each.subscriber)
            dead[name] = dead.get(name, 0) + each.count
        return OutboxView(service=self.service, waiting=waiting, dead=dead)

    async def count(self, like: LetterFilter) -> LetterCount:
        """How many letters are like that."""
        return await self._letters.count(like)

    async def find(self, like: LetterFilter, search: LetterSearch) -> Sequence[DeadLetterView]:
        """Its letters of a page, and one more where there are more."""
        after = None if search.after is None else search.after.get(self.service, 0)
        before = (search.before or {}).get(self.service, LAST) if after is None else None
        most = search.most + 1
        found = await self._letters.list(like, after=after, before=before, count=most, whole=search.values)
        return [self._view(each, whole=search.values) for each in found]

    async def letter(self, number: int, *, values: bool) -> DeadLetterDetail:
        """One letter; its data is masked without `values`."""
        found = await self._letters.list(LetterFilter(ids=(number,)))
        if not found:
            raise CallError(Code.NOT_FOUND, f"{self.service} has no dead letter {number}, or none any more")
        attributes, data = _told(found[0].body, values=values)
        return DeadLetterDetail(letter=self._view(found[0], whole=values), attributes=attributes, data=data)

    async def redrive(self, like: LetterFilter, up_to: int | None) -> int:
        """Deliver letters again; how many."""
        return await self._letters.redrive(like, up_to=up_to)

    async def discard(self, like: LetterFilter, up_to: int | None) -> int:
        """Give letters up; how many."""
        return await self._letters.discard(like, up_to=up_to)

    async def forget(self, subscriber: str) -> int:
        """Give up all that is owed to a subscriber that is gone; how many."""
        return await self._letters.forget(subscriber)

    async def publish(self, event: Event, source: str, destinations: Sequence[str]) -> str:
        """Owe an event to these; its id."""
        # A lease of its own that is never taken up: whichever replica looks first takes the rows.
        lease = Lease(self._database, f"publish/{self.service}")
        outbox = Outbox(self._database, source, lambda _: destinations, self._clock, lease)
        envelope = enclose(event, source, self._clock.now(), Context())
        async with self._database.unit() as unit:
            for each in destinations:
                await outbox.take_in(unit, each, [envelope])
        return envelope.id

    def _view(self, letter: DeadLetter, *, whole: bool) -> DeadLetterView:
        trace = TRACE.search(letter.body)
        return DeadLetterView(
            service=self.service,
            id=letter.id,
            event_id=letter.event_id,
            type=letter.type,
            subscriber=self._called(letter.subscriber),
            key=letter.key,
            error=None if letter.error is None else redact(letter.error),
            attempts=letter.attempts,
            created=letter.created,
            trace_id=trace[1] if trace else "",
            body=str(redact_fields(letter.body)) if whole else "",
        )


def _told(body: str, *, values: bool) -> tuple[dict[str, str], str]:
    """The attributes of an event, and its data as people read it."""
    try:
        envelope = read_json(body)
    except Undeliverable:  # what a broker brought and is none
        return {}, str(redact_fields(body)) if values else SHOWN
    attributes = write_attributes(envelope)
    if not values and "authclaims" in attributes:
        attributes["authclaims"] = mask_values(attributes["authclaims"])
    data = data_of(envelope)
    if envelope.data_base64 and not is_json(envelope.datacontenttype):
        return attributes, base64.b64encode(data).decode() if values else SHOWN
    text = data.decode(errors="replace")
    return attributes, str(redact_fields(text)) if values else mask_values(text)
