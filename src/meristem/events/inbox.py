"""The inbox: a service handles each event once, in one unit of work with the record that it did."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import DecodeError
from sqlalchemy import Text, bindparam, insert, literal, select

from meristem.context import CURRENT
from meristem.contracts.codec import decoder, violation
from meristem.contracts.message import Event
from meristem.errors import IntegrityViolation, Undeliverable, WiringError
from meristem.events.cloudevents import is_json
from meristem.events.envelope import Envelope
from meristem.events.facts import Handled, emit
from meristem.events.outage import describe, is_outage
from meristem.events.policy import DEFAULT, DeliveryPolicy
from meristem.events.subscription import subscriptions
from meristem.events.tables import INBOX
from meristem.lifecycle import Background
from meristem.storage.sweep import Sweep
from meristem.variables import within

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.events.facts import Observer
    from meristem.storage.database import Database

logger: Final = logging.getLogger("meristem.events")

Handle: TypeAlias = Callable[[Any], Awaitable[None]]
Listener: TypeAlias = Callable[[Event, Envelope], Awaitable[None]]

_REMEMBERED: Final = 1000  # failures whose traceback was shown
_KNOWN: Final = select(literal(1)).where(
    *(INBOX.c[name] == bindparam(name, type_=Text) for name in ("event_id", "source", "subscriber"))
)
_RECORD: Final = insert(INBOX)
FORGET: Final = Sweep(INBOX, INBOX.c.handled_at)


class _Turns:
    """The deliveries of one event that are under way or wait their turn."""

    __slots__ = ("lock", "taken")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.taken = 0


class Inbox:
    """Takes the events that a service subscribed to.

    `handlers` maps event classes to coroutine functions. With a database each event is handled once, however often
    it is delivered, for the time of `retention`; without one it is handled at least once. Deliveries of one event wait
    for each other. Listeners see events in the same unit of work, after the handler; observers are told of each attempt
    within what surrounded it.
    """

    def __init__(
        self,
        service: str,
        database: Database | None,
        handlers: Mapping[type[Event], Handle],
        clock: Clock,
        *,
        policies: Mapping[type[Event], DeliveryPolicy] | None = None,
        retention: timedelta = timedelta(days=30),
    ) -> None:
        self.service = service
        self._database = database
        self._handlers = {event.event_type: handle for event, handle in handlers.items()}
        self._classes = {event.event_type: event for event in handlers}
        self._policies = {event.event_type: policy for event, policy in (policies or {}).items()}
        self.observers: list[Observer] = []
        self._listeners: dict[str, list[Listener]] = {}
        self._clock = clock
        self._retention = retention
        self._turns: dict[tuple[str, str], _Turns] = {}
        self._refused: dict[tuple[str, str], str] = {}  # how each event failed last
        self._background = Background(f"inbox of {service}")

    @classmethod
    def of(cls, name: str, service: object, database: Database | None, clock: Clock) -> Inbox:
        """The inbox of a service object, by its `@on` methods."""
        found = subscriptions(type(service))
        handlers = {event: getattr(service, each.method) for event, each in found.items()}
        return cls(name, database, handlers, clock, policies={event: each.policy for event, each in found.items()})

    @property
    def policies(self) -> dict[str, DeliveryPolicy]:
        """The event types to subscribe to, each with the policy of its delivery."""
        return {event_type: self._policies.get(event_type, DEFAULT) for event_type in self._classes}

    def listen(self, listener: Listener, events: Sequence[type[Event]]) -> None:
        """Have a listener see these events too, in the unit of work that handles them; before the bus subscribes."""
        for event in events:
            known = self._classes.setdefault(event.event_type, event)
            if known is not event:
                raise WiringError(f"{self.service}: {known!r} and {event!r} both are {event.event_type}; rename one")
            self._listeners.setdefault(event.event_type, []).append(listener)

    async def start(self) -> None:
        """Forget old events from time to time."""
        if self._database is not None:
            forgetting = FORGET.delete_daily(self._database, self._clock, self._retention, "old events")
            self._background.spawn(forgetting, "prune")

    async def drain(self) -> None:
        """The relay that delivers is drained first; nothing to do."""

    async def stop(self) -> None:
        """End the pruning."""
        await self._background.stop()

    async def receive(self, envelope: Envelope, *, is_new: bool = False) -> None:
        """Handle an event; returns when that is durable, at once for one that was handled before.

        The database is not asked about one that `is_new`: were it wrong, its record could not be written twice.
        Raises Undeliverable for an event that is not subscribed to or does not fit its class.
        """
        event = self._open(envelope)
        # A relay may deliver an event again while its first delivery still runs, after a timeout or from another
        # replica's hands: the second waits, and then finds the record.
        name = (envelope.origin, envelope.id)
        turns = self._turns.get(name)
        if turns is None:
            turns = self._turns[name] = _Turns()
        turns.taken += 1
        try:
            async with turns.lock:
                # In variables of its own: a relay of this process hands on one event after the other in one task.
                work = self._handle_within_context(event, envelope, is_new=is_new)
                await within(copy_context(), work)
        finally:
            turns.taken -= 1
            if not turns.taken:
                del self._turns[name]

    def _open(self, envelope: Envelope) -> Event:
        event_class = self._classes.get(envelope.type)
        if event_class is None:
            raise Undeliverable(
                f"{self.service} has no handler for {envelope.type}: add one with @on, or end the subscription"
            )
        if envelope.data_base64 or not is_json(envelope.datacontenttype):
            raise Undeliverable(
                f"{envelope.type} {envelope.id}: its data is no JSON (datacontenttype {envelope.datacontenttype!r}), "
                f"and {self.service} reads JSON alone; have it published as JSON, then discard this one"
            )
        try:
            event: Event = decoder(event_class)(envelope.data)
        except (DecodeError, UnicodeDecodeError) as error:
            found = violation(error)
            raise Undeliverable(
                f"{envelope.type} {envelope.id} does not fit {event_class.__qualname__} as {self.service} knows it: "
                f"{found.field or 'its data'}: {found.reason}; change the class so that it reads old events too, "
                "then redrive"
            ) from error
        return event

    async def _handle_within_context(self, event: Event, envelope: Envelope, *, is_new: bool) -> None:
        policy = self._policies.get(envelope.type, DEFAULT)
        began = time.monotonic()
        CURRENT.set(envelope.context(self.service, began + policy.timeout))
        try:
            if self._database is None:
                await self._handle(event, envelope)
            else:
                await self._handle_once(self._database, event, envelope, is_new=is_new)
        except BaseException as error:
            self._tell(envelope, began, describe(error))
            if isinstance(error, Exception):
                self._log(envelope, error)
            raise
        self._tell(envelope, began)
        if self._refused:
            self._refused.pop((envelope.origin, envelope.id), None)

    def _tell(self, envelope: Envelope, began: float, error: str | None = None) -> None:
        told = Handled(envelope.type, self.service, time.monotonic() - began, envelope.published_in, error)
        emit(self.observers, told)

    def _log(self, envelope: Envelope, error: Exception) -> None:
        """Show a traceback where it happens, and once: by each attempt it would only be longer to read.

        Whoever delivers has a line for each attempt. An outage is no bug to look for, nor is what the handler says of
        the event.
        """
        if isinstance(error, Undeliverable) or is_outage(error):
            return
        name, described = (envelope.origin, envelope.id), describe(error)
        if self._refused.pop(name, None) != described:
            logger.error("%s failed at %s %s", self.service, envelope.type, envelope.id, exc_info=error)
        self._refused[name] = described
        if len(self._refused) > _REMEMBERED:
            del self._refused[next(iter(self._refused))]

    async def _handle_once(self, database: Database, event: Event, envelope: Envelope, *, is_new: bool) -> None:
        row: dict[str, Any] = {"event_id": envelope.id, "source": envelope.origin, "subscriber": self.service}
        if not is_new and await database.fetch_value(_KNOWN, row) is not None:
            return
        try:
            async with database.unit() as unit:
                await self._handle(event, envelope)
                # With the commit, so that no lock is held while the handler calls other services.
                unit.at_commit(_RECORD, row | {"handled_at": self._clock.now().timestamp()})
        except IntegrityViolation:
            # The record, or a row of the handler's own: only the first is the mark of a duplicate.
            if await database.fetch_value(_KNOWN, row) is None:
                raise
            logger.info("%s: %s was handled by another process meanwhile", self.service, envelope.id)

    async def _handle(self, event: Event, envelope: Envelope) -> None:
        handle = self._handlers.get(envelope.type)
        if handle is not None:
            await handle(event)
        for listener in self._listeners.get(envelope.type, ()):
            await listener(event, envelope)
