"""Answers `Events` of the services of one process, or of databases that somebody opened while nothing runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.contracts.codec import decoder, violation
from meristem.errors import CallError, Code, OperationError
from meristem.operators.event_contract import (
    ChangedLetters,
    EventOverview,
    EventPublication,
    EventTypeView,
    LettersLike,
)
from meristem.operators.event_merging import at_once, page_of, subscribers_of
from meristem.system.event_flow import declared_events, destinations_of, flows_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meristem.clock import Clock
    from meristem.contracts.message import Event
    from meristem.events.dead_letters import LetterFilter
    from meristem.operators.event_contract import ChosenLetters, DeadLetterDetail, DeadLetterPage, LetterSearch
    from meristem.runtime.kept_events import KeptEvents
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint

EACH: Final = LettersLike()


class EventDesk:
    """Answers of `databases`, by the services whose they are; `lag` says what a broker still has, by service.

    `classes` are those of events, by type, as far as the code is known where this runs.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        databases: Callable[[], Mapping[str, Database]],
        clock: Clock,
        lag: Callable[[], Awaitable[Mapping[str, int]]],
        classes: Callable[[], Mapping[str, type[Event]]] = declared_events,
    ) -> None:
        self._blueprint = blueprint
        self._plan = blueprint.plan
        self._databases = databases
        self._clock = clock
        self._lag = lag
        self._classes = classes

    async def overview(self, service: str) -> EventOverview:
        outboxes = [await each.outbox() for each in self._of(service)]
        lags: Mapping[str, int] = {}
        unreachable = None
        try:
            lags = {self._plan.called_now(name): count for name, count in (await self._lag()).items()}
        except OperationError as error:
            unreachable = str(error)
        known = [each.name for each in self._plan.services if each.hears]
        flows = flows_of(self._blueprint, self._classes())
        return EventOverview(
            events=[msgspec.convert(each, EventTypeView, from_attributes=True) for each in flows],
            subscribers=subscribers_of(known, self._blueprint.placement.events.subscribers, outboxes, lags),
            outboxes=outboxes,
            unreachable=unreachable,
        )

    async def dead(self, search: LetterSearch) -> DeadLetterPage:
        if search.after is not None and search.before is not None:
            raise _refused("a page is after one place or before one, not both")
        search = at_once(search)
        letters, total, newest = [], 0, {}
        for each in self._of(search.like.service):
            like = self._filter(search.like)
            counted = await each.count(like)
            total += counted.count
            newest[each.service] = counted.newest
            if counted.count:
                letters.append(await each.find(like, search))
        return page_of(letters, search, total=total, newest=newest)

    async def letter(self, service: str, number: int, *, values: bool = False) -> DeadLetterDetail:
        return await self._keeper(service).letter(number, values=values)

    async def redrive(self, chosen: ChosenLetters) -> ChangedLetters:
        like, changed = self._chosen(chosen), {}
        subscriber = self._plan.called_now(like.subscriber)
        # What a service that has gone left behind may be discarded, but nobody would ever take it if it were redriven.
        if subscriber and subscriber not in (hears := self._hears()):
            there_are = ", ".join(sorted(hears)) or "none"
            raise _refused(f"no service {subscriber!r} hears events; there are {there_are}")
        for each, wanted, up_to in self._wanted(chosen, like):
            changed[each.service] = await each.redrive(wanted, up_to)
        return ChangedLetters(changed=changed)

    async def discard(self, chosen: ChosenLetters) -> ChangedLetters:
        like, changed = self._chosen(chosen), {}
        subscriber = self._plan.called_now(like.subscriber)
        # All that is left for it, and nothing less is meant.
        is_gone = subscriber not in self._hears() and like == LettersLike(service=like.service, subscriber=subscriber)
        for each, wanted, up_to in self._wanted(chosen, like):
            if subscriber and is_gone:
                changed[each.service] = await each.forget(subscriber)
            else:
                changed[each.service] = await each.discard(wanted, up_to)
        return ChangedLetters(changed=changed)

    async def publish(self, service: str, type: str, data: str) -> EventPublication:  # noqa: A002 - its name on the wire
        event = read_event(self._classes(), type, data)
        kept = self._keeper(service)
        destinations = destinations_of(self._blueprint, type)
        if not destinations:
            text = f"no service hears {type}: nothing was published"
            raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
        source = f"//{self._blueprint.system.name}/{service}"
        id_ = await kept.publish(event, source, destinations)
        return EventPublication(id=id_, type=type, publisher=service, destinations=[*destinations])

    def _of(self, service: str) -> list[KeptEvents]:
        """What the services here keep; only that of one where it is named, which may live elsewhere."""
        databases = self._databases()
        known = [each.name for each in self._plan.services if each.database]
        if service and service not in known:
            there_are = ", ".join(known) or "none"
            raise _refused(f"no service {service!r} has a database; there are {there_are}")
        if not databases:
            return []
        from meristem.runtime.kept_events import KeptEvents  # noqa: PLC0415 - who keeps nothing has no SQLAlchemy

        return [
            KeptEvents(name, database, self._clock, self._plan.called_now)
            for name, database in databases.items()
            if service in ("", name)
        ]

    def _keeper(self, service: str) -> KeptEvents:
        found = self._of(service) if service else []
        if not found:
            raise CallError(Code.NOT_FOUND, f"no service {service!r} with a database lives here")
        return found[0]

    def _wanted(self, chosen: ChosenLetters, like: LettersLike) -> list[tuple[KeptEvents, LetterFilter, int | None]]:
        """The letters that are chosen, by who keeps them; nothing of those that were not seen."""
        if chosen.numbers is not None:
            from meristem.events.dead_letters import LetterFilter  # noqa: PLC0415 - as above

            found = [(each, numbers) for name, numbers in chosen.numbers.items() for each in self._of(name)]
            return [(each, LetterFilter(ids=tuple(numbers)), None) for each, numbers in found]
        up_to = chosen.up_to
        return [
            (each, self._filter(like), None if up_to is None else up_to[each.service])
            for each in self._of(like.service)
            if up_to is None or each.service in up_to
        ]

    def _chosen(self, chosen: ChosenLetters) -> LettersLike:
        if (chosen.numbers is None) == (chosen.like is None):
            raise _refused("which dead letters? name `numbers` by service, or what all of them are `like`")
        return chosen.like or EACH

    def _filter(self, like: LettersLike) -> LetterFilter:
        from meristem.events.dead_letters import LetterFilter  # noqa: PLC0415 - as above

        called = self._plan.called_now(like.subscriber)
        subscriber = next((each.kept_as for each in self._plan.services if each.name == called), called)
        return LetterFilter(subscriber or None, like.type or None, like.text, like.since)

    def _hears(self) -> set[str]:
        services = {each.name for each in self._plan.services if each.hears}
        return services | set(self._blueprint.placement.events.subscribers)


def read_event(classes: Mapping[str, type[Event]], event_type: str, data: str) -> Event:
    """An event of its fields as JSON; raises CallError `not_found` for its type, `invalid_argument` for its fields."""
    if event_type not in classes:
        there_are = ", ".join(sorted(classes)) or "none"
        raise CallError(Code.NOT_FOUND, f"no event {event_type!r}; there are {there_are}")
    event_class = classes[event_type]
    try:
        event: Event = decoder(event_class)(data.encode())
        given = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        found = violation(error)
        raise _refused(f"{found.field or 'the event'}: {found.reason}") from None
    fields = [each.encode_name for each in msgspec.structs.fields(event_class)]
    # A reader ignores what it doesn't know; of who writes it is a mistake.
    if unknown := [name for name in given if name not in fields]:
        there_are = ", ".join(fields) or "none"
        raise _refused(f"{event_type} has no field {unknown[0]!r}; there are {there_are}")
    return event


def _refused(text: str) -> CallError:
    return CallError(Code.INVALID_ARGUMENT, text)
