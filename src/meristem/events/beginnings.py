"""Beginnings: which event types a service hears already, and how far it has caught up with what was before it did."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, bindparam, delete, insert, select

from meristem.errors import IntegrityViolation
from meristem.events.tables import INBOX, POSITIONS

if TYPE_CHECKING:
    from meristem.storage.database import Database

logger: Final = logging.getLogger("meristem.events")

_HEARS: Final = "hears "  # begins the name of a row; no broker's can begin so
_named: Final = POSITIONS.c.bus.in_(bindparam("names", type_=Text, expanding=True))
_FOUND: Final = select(POSITIONS.c.bus, POSITIONS.c.position).where(_named)
_HEARD: Final = select(POSITIONS.c.bus).where(POSITIONS.c.bus >= _HEARS, POSITIONS.c.bus < "hears!")
_HANDLED: Final = select(INBOX.c.subscriber).where(INBOX.c.subscriber == bindparam("subscriber", type_=Text)).limit(1)
_BEGIN: Final = insert(POSITIONS)
_END: Final = delete(POSITIONS).where(POSITIONS.c.bus == bindparam("of_bus", type_=Text))


def of_type(origin: str, event_type: str) -> str:
    """Names the row that says how far a service has caught up with the past of an event type on a broker."""
    return f"{origin} {event_type}"


class Beginnings:
    """What a service's database says of the event types that it hears, whatever the bus.

    A type that is in no row of it is new to the service. Of such a one a second row says with what it begins, on a
    broker that keeps the past, and then how far that was taken in; it is gone when the service is as far with it as
    with the others. Where a release reads on that does not hear a type, such a row says from where on its events were
    passed over: the release that does will come back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        service: str,
        types: Collection[str],
        first: Collection[str],
        starts: Mapping[str, tuple[str, str]] | None,
    ) -> None:
        """Write down that the service hears these types from now on, with the row of `starts` for each that is new.

        `first` are those that are declared to begin with the first event. On a bus that keeps nothing there are no
        starts, which is told of these.
        """
        fresh = await self._fresh(types)
        if not fresh:
            return
        wanted = fresh & set(first)
        if starts is None:
            self._tell_of_nothing(service, wanted)
        elif await self._is_of_before(service):
            self._tell_of_before(service, wanted)
            starts = None
        rows = {f"{_HEARS}{each}": "" for each in fresh}
        if starts is not None:
            rows |= dict(starts[each] for each in fresh & starts.keys())
        try:
            async with self._database.unit() as unit:
                await unit.execute(_BEGIN, [{"bus": name, "position": begins} for name, begins in rows.items()])
        except IntegrityViolation:  # another replica has begun meanwhile, with the same
            if await self._fresh(types):
                raise

    async def fresh(self, service: str, types: Collection[str]) -> frozenset[str]:
        """Those of the types that the service does not hear yet."""
        return frozenset() if await self._is_of_before(service) else await self._fresh(types)

    async def _is_of_before(self, service: str) -> bool:
        """Whether it heard events before it was written down which: then it hears already what is in no row."""
        return (
            not await self.heard() and await self._database.fetch_value(_HANDLED, {"subscriber": service}) is not None
        )

    async def heard(self) -> frozenset[str]:
        """The types that the service hears, or has heard."""
        return frozenset(each.removeprefix(_HEARS) for each in await self._database.fetch_all(_HEARD, into=str))

    async def pass_over(self, past: Mapping[str, str]) -> None:
        """Write down from where on events are passed over, for each row that is not there yet."""
        missing = past.keys() - (await self._rows({each: each for each in past})).keys()
        if missing:
            await self._database.execute(_BEGIN, [{"bus": each, "position": past[each]} for each in sorted(missing)])

    async def apart(self, origin: str, types: Collection[str]) -> dict[str, str]:
        """How far the service is with each type with which it is not as far as with the others, but behind or ahead."""
        return await self._rows({of_type(origin, each): each for each in types})

    async def end(self, origin: str, types: Collection[str]) -> None:
        """With these the service is as far as with the others."""
        if types:
            await self._database.execute(_END, [{"of_bus": of_type(origin, each)} for each in types])

    async def _fresh(self, types: Collection[str]) -> frozenset[str]:
        return frozenset(types) - (await self._rows({f"{_HEARS}{each}": each for each in types})).keys()

    async def _rows(self, names: Mapping[str, str]) -> dict[str, str]:
        rows = await self._database.fetch_all(_FOUND, {"names": list(names)})
        return {names[row["bus"]]: row["position"] for row in rows}

    def _tell_of_before(self, service: str, types: Collection[str]) -> None:
        for each in sorted(types):
            logger.warning(
                "%s hears %s from now on, or as before: it took in events already when it was not yet written down of "
                "which types; `meristem events replay --subscriber %s --from first` has it take in all that is kept",
                service, each, service,
            )  # fmt: skip

    def _tell_of_nothing(self, service: str, types: Collection[str]) -> None:
        if self._database.is_temporary:  # nothing was before it
            return
        for each in sorted(types):
            logger.warning(
                "%s hears %s from now on and nothing of before, though it is declared begin=\"first\": this system's "
                "bus keeps no event that was handed over; NATS and Kafka do",
                service, each,
            )  # fmt: skip
