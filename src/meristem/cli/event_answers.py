"""Answers of a system's events for the command: by who runs it, and of databases where nobody does, or answers."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from meristem.cli.running_or_databases import RunningOrDatabases, warn_of
from meristem.clock import SystemClock
from meristem.errors import CallError, Code, OperationError
from meristem.events.brokers.broker import BrokerBus
from meristem.events.bus_positions import BusPositions
from meristem.operators.event_contract import (
    ChangedLetters,
    DeadLetterPage,
    EventOverview,
    Events,
    LetterSearch,
    LettersLike,
)
from meristem.operators.event_merging import merged_changes, merged_overviews
from meristem.runtime.event_desk import EventDesk, read_event
from meristem.system.event_flow import bus_of, event_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from meristem.contracts.message import Event
    from meristem.operators.event_contract import ChosenLetters, DeadLetterView, EventPublication
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint


PAGE: Final = 1000  # letters of one answer
NOTHING: Final = DeadLetterPage(letters=[], total=0, more=False, next={}, newest={})


class EventAnswers:
    """The system's events as the command tells them; `service` is the only publisher that is asked of, if any.

    Where nothing runs a broker is asked only where its lag is wanted.
    """

    def __init__(
        self, blueprint: Blueprint, directory: Path, service: str | None = None, *, asks_broker: bool = False
    ) -> None:
        self._blueprint = blueprint
        self._service = service or ""
        self._asked: RunningOrDatabases[Events] = RunningOrDatabases(blueprint, directory, service, Events, self._desk)
        self._unreachable: str | None = None
        self._unread: dict[str, str] = {}
        self._asks_broker = asks_broker

    def overview(self) -> EventOverview:
        """All events, subscribers and outboxes."""
        found = self._asked.merged(lambda events: events.overview(self._service), merged_overviews)
        return replace(found, unreachable=found.unreachable or self._unreachable, unread=self._unread)

    def letters(self, *, values: bool) -> dict[str, list[DeadLetterView]]:
        """All dead letters by publisher, the oldest first; with `values` also what they say."""
        found: dict[str, list[DeadLetterView]] = {name: [] for name in self._asked.services}

        async def all_of_them(events: Events) -> DeadLetterPage:
            search = LetterSearch(like=LettersLike(service=self._service), after={}, most=PAGE, values=values)
            page = await events.dead(search)
            letters = page.letters
            while page.more:
                search = replace(search, after=page.next)
                page = await events.dead(search)
                letters = letters + page.letters
            return replace(page, letters=letters)

        def side_by_side(told: Sequence[DeadLetterPage], silent: Sequence[str]) -> DeadLetterPage:
            letters = [each for page in told for each in page.letters]
            return replace(told[0], letters=letters, silent=list(silent)) if told else NOTHING

        listed = self._asked.merged(all_of_them, side_by_side)
        for each in listed.letters:
            found[each.service].append(each)
        warn_of(listed.silent)
        return found

    def subscribers(self, service: str, numbers: Sequence[int]) -> dict[int, str]:
        """Whose these dead letters of a publisher are; of those that are none, nothing."""

        async def look(events: Events) -> dict[int, str]:
            found = {}
            for number in numbers:
                try:
                    found[number] = (await events.letter(service, number)).letter.subscriber
                except CallError as error:
                    if error.code is not Code.NOT_FOUND:
                        raise
            return found

        return self._asked.one(service, look)

    def change(self, verb: str, chosen: ChosenLetters) -> ChangedLetters:
        """Redrive or discard letters."""

        async def change(events: Events) -> ChangedLetters:
            return await (events.redrive(chosen) if verb == "redrive" else events.discard(chosen))

        return self._asked.merged(change, merged_changes)

    @cached_property
    def classes(self) -> Mapping[str, type[Event]]:
        """The classes of all events by type, as far as their code is importable here."""
        classes, self._unread = event_classes(self._blueprint)
        return classes

    @property
    def unread(self) -> Mapping[str, str]:
        """The services whose code is not importable here, and why; known when `classes` were asked for."""
        return self._unread

    def publish(self, service: str, event_type: str, data: str) -> EventPublication:
        """Publish an event by a service."""

        async def publish(events: Events) -> EventPublication:
            return await events.publish(service, event_type, data)

        told = self._asked.run(publish)
        if told is not None:
            return told
        if not self._asked.lasts(service):
            read_event(self.classes, event_type, data)  # what is wrong with it is told before what is missing for it
            raise OperationError(f"{service} has no database that lasts yet: run the system once, then publish")
        return self._asked.of_database(service, publish, make=True)

    def _desk(self, name: str, database: Database) -> Events:
        desk: Any = EventDesk(
            self._blueprint, lambda: {name: database}, SystemClock(), partial(self._lag, name, database),
            lambda: self.classes,
        )  # fmt: skip
        answers: Events = desk
        return answers

    async def _lag(self, name: str, database: Database) -> Mapping[str, int]:
        service, bus = self._blueprint.plan.service(name), bus_of(self._blueprint)
        # A broker that one service can't reach is not waited for again.
        if not self._asks_broker or not isinstance(bus, BrokerBus) or not service.hears or self._unreachable:
            return {}
        try:
            return {service.kept_as: await bus.lag_of(service.kept_as, BusPositions(database))}
        except OperationError as error:
            self._unreachable = str(error)
            return {}
