"""Has events that were accepted from outside stored for all who hear them, wherever these live."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from meristem.context import current
from meristem.errors import CallError, Code, StorageError, Undeliverable
from meristem.events.bus import BROKER, SubscriberAway
from meristem.events.cloudevents import write_json
from meristem.events.outage import describe, patience_asked_for
from meristem.webhooks.acceptance import accepted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from meristem.events.bus import Bus
    from meristem.events.envelope import Envelope
    from meristem.webhooks.event_intake import AcceptedEvents

    Keep = Callable[[str, str, Sequence[str]], Awaitable[None]]

logger: Final = logging.getLogger("meristem.events")

_PIECE: Final = 200  # events that are handed over at once
_PIECE_BYTES: Final = 1 << 20
_LATER: Final = 1.0  # seconds after which a sender is to come again, unless a subscriber says more
_PASSING: Final = (SubscriberAway, StorageError, OSError, CallError)
_TOLD: Final = 20  # places in a batch that an error names


class AcceptedEventStore:
    """Returns when every subscriber has the events in its own outbox, or the broker has them.

    A subscriber that is away can't be told later: there is no publisher's outbox here. So the sender is, who sends the
    same again, and the subscribers who had it know it. `keep` stores events, as JSON, in the outbox of a service, owed
    to a destination. That is the service itself; what is owed to a webhook lies with the first of those that hear the
    type, which `hearers` tells.
    """

    def __init__(self, bus: Bus, keep: Keep, hearers: Mapping[str, Sequence[str]]) -> None:
        self._bus = bus
        self._keep = keep
        self._hearers = hearers

    async def accept(self, arrived: AcceptedEvents) -> None:
        """Store what has arrived; raises CallError `unavailable` where not all of it is durable."""
        context = current()
        events = [accepted(each, context) for each in arrived.events]
        owed: dict[tuple[str, str], list[int]] = {}
        for at, each in enumerate(events):
            for destination in self._bus.destinations(each.type):
                hearers = self._hearers.get(each.type, (destination,))
                host = destination if destination in hearers else hearers[0]
                owed.setdefault((host, destination), []).append(at)
        handed = (self._hand(*where, [events[at] for at in places]) for where, places in owed.items())
        failures = await asyncio.gather(*handed, return_exceptions=True)
        lost = {at for failure, places in zip(failures, owed.values(), strict=True) if failure for at in places}
        if lost:
            raise _told([each for each in failures if each is not None], sorted(lost), len(events))

    async def _hand(self, host: str, destination: str, events: list[Envelope]) -> None:
        if destination.startswith(BROKER):
            for each in events:  # one after the other, as they are in order
                await self._bus.publish(each, destination)
            return
        for piece in _pieces([write_json(each).decode() for each in events]):
            await self._keep(host, destination, piece)


def _pieces(events: list[str]) -> Iterator[list[str]]:
    """So that no call is too large, and no commit takes long."""
    piece: list[str] = []
    size = 0
    for each in events:
        if piece and (len(piece) == _PIECE or size + len(each) > _PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(each)
        size += len(each)
    if piece:
        yield piece


def _told(failures: Sequence[BaseException], lost: Sequence[int], count: int) -> CallError:
    for each in failures:
        if not isinstance(each, (*_PASSING, Undeliverable)):
            raise each
    logger.warning("%d of %d events from outside are not stored: %s", len(lost), count, _described(failures))
    places = ", ".join(f"[{at}]" for at in lost[:_TOLD]) + (", …" if len(lost) > _TOLD else "")
    what = "the event is" if count == 1 else f"of the {count} events of the batch {places} are"
    if any(isinstance(each, Undeliverable) for each in failures):
        message = f"{what} not stored: what carries events here takes none so large, or does not take it at all"
        return CallError(Code.INVALID_ARGUMENT, message)
    later = max(patience_asked_for(each) or _LATER for each in failures if isinstance(each, Exception))
    message = f"{what} not durable yet; send the same again, for what was stored is known by source and id"
    return CallError(Code.UNAVAILABLE, message, retry_after=later)


def _described(failures: Sequence[BaseException]) -> str:
    return "; ".join(dict.fromkeys(describe(each) for each in failures))
