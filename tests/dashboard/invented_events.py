"""Events of a system that was never run: subscribers, what waits for them, and dead letters, which can be changed."""

from __future__ import annotations

import json
import random

from msgspec.structs import replace

from meristem.operators.event_contract import (
    ChangedLetters,
    ChosenLetters,
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterView,
    EventOverview,
    EventTypeView,
    LetterSearch,
    LettersLike,
    OutboxView,
    WaitingView,
)
from meristem.operators.event_merging import page_of, subscribers_of
from meristem.redaction import mask_values

BOOKED, HELD, PAID = "hotel.reservations.v1.RoomBooked", "hotel.rooms.v1.RoomHeld", "hotel.payments.v1.PaymentTaken"
REASONS = (
    "Undeliverable: no template for the language 'pt-BR'",
    "SmtpUnavailable: 451 4.7.1 greylisted, try again in 300 seconds; gave up after 12 attempts over 3 h 20 min",
    "ValidationError: `nights` must be at least 1 - at `$.nights`",
    "KeyError: 'room_type'",
)
TRACE = "5f" * 16


class InventedEvents:
    """Answers `Events`; redrive takes letters out of it, and so does discard."""

    def __init__(self, now: float, letters: int = 260) -> None:
        dice = random.Random(11)
        self.types = [
            _type(BOOKED, ["reservations"], ["documents", "notifications", "search"], webhooks=["crm"]),
            _type(HELD, ["rooms"], ["search"]),
            _type(PAID, ["payments"], ["reservations"], accepted_from=["bank"]),
            _type("hotel.rooms.v1.RoomReleasedBecauseTheHoldWasNotConfirmedInTime", ["rooms"], []),
        ]
        self.letters = [
            _letter(number, now - (letters - number) * dice.uniform(40, 60), dice) for number in range(1, letters + 1)
        ]
        self.silent: list[str] = []
        self.changed: list[tuple[str, ChosenLetters]] = []
        self._now = now

    async def overview(self, service: str) -> EventOverview:
        waiting = [
            WaitingView(subscriber="notifications", count=1204, oldest=self._now - 3900, failed=37,
                        due_at=self._now + 40, error=REASONS[1]),
            WaitingView(subscriber="crm", count=12, oldest=self._now - 60),
            WaitingView(subscriber="invoices", count=3, oldest=self._now - 8e6),
        ]  # fmt: skip
        outboxes = [
            OutboxView(service=name, waiting=waiting if name == "reservations" else [], dead=self._dead(name))
            for name in ("payments", "reservations", "rooms")
        ]
        hearing = ["documents", "notifications", "reservations", "search"]
        subscribers = subscribers_of(hearing, ["crm"], outboxes, {"search": 41, "documents": 0})
        return EventOverview(events=self.types, subscribers=subscribers, outboxes=outboxes, silent=self.silent)

    def _dead(self, service: str) -> dict[str, int]:
        own = [each.subscriber for each in self.letters if each.service == service]
        return {name: own.count(name) for name in sorted(set(own))}

    async def dead(self, search: LetterSearch) -> DeadLetterPage:
        found = [each for each in self.letters if _is_like(each, search.like)]
        before = search.before or {}
        groups = [
            [each for each in reversed(found) if each.service == name and each.id < before.get(name, 10**9)]
            for name in ("payments", "reservations", "rooms")
        ]
        newest = {each.service: each.id for each in found}
        return page_of(groups, search, total=len(found), newest=newest, silent=self.silent)

    async def letter(self, service: str, number: int, *, values: bool = False) -> DeadLetterDetail:
        letter = next(each for each in self.letters if (each.service, each.id) == (service, number))
        data = json.dumps({"booking": letter.key, "guest": {"name": "Ann Knife", "nights": 3}, "paid": None})
        attributes = {"specversion": "1.0", "id": letter.event_id, "source": f"//hotels/{service}", "type": letter.type}
        return DeadLetterDetail(letter=letter, attributes=attributes, data=data if values else mask_values(data))

    async def redrive(self, chosen: ChosenLetters) -> ChangedLetters:
        return self._take("redrive", chosen)

    async def discard(self, chosen: ChosenLetters) -> ChangedLetters:
        return self._take("discard", chosen)

    async def publish(self, service: str, type: str, data: str) -> None:  # noqa: A002 - of the contract
        raise NotImplementedError

    def _take(self, verb: str, chosen: ChosenLetters) -> ChangedLetters:
        self.changed.append((verb, chosen))
        numbers = chosen.numbers
        taken = [
            each
            for each in self.letters
            if (each.id in numbers.get(each.service, ()) if numbers is not None else _is_like(each, chosen.like))
        ]
        self.letters = [each for each in self.letters if each not in taken]
        return ChangedLetters(changed={"reservations": len(taken)}, silent=self.silent)


def _type(name: str, publishers: list[str], subscribers: list[str], **more: list[str]) -> EventTypeView:
    return EventTypeView(type=name, publishers=publishers, subscribers=subscribers, **more)


def _letter(number: int, created: float, dice: random.Random) -> DeadLetterView:
    service, type_, subscriber = dice.choice(
        (
            ("reservations", BOOKED, "notifications"),
            ("reservations", BOOKED, "notifications"),
            ("reservations", BOOKED, "documents"),
            ("rooms", HELD, "search"),
            ("reservations", BOOKED, "invoices"),
        )
    )
    letter = DeadLetterView(
        service=service, id=number, event_id=f"{dice.getrandbits(128):032x}", type=type_, subscriber=subscriber,
        key=f"booking-{number}", error=dice.choice(REASONS), attempts=dice.choice((1, 1, 5, 12)), created=created,
    )  # fmt: skip
    return replace(letter, trace_id=TRACE) if dice.random() < 0.7 else letter


def _is_like(letter: DeadLetterView, like: LettersLike | None) -> bool:
    if like is None:
        return False
    return (
        like.service in ("", letter.service)
        and like.subscriber in ("", letter.subscriber)
        and like.type in ("", letter.type)
        and like.text.lower() in f"{letter.error} {letter.key} {letter.event_id}".lower()
        and (like.since is None or letter.created >= like.since)
    )
