"""Reads what a run left: each service's database, the bank's statement, the mailbox."""

from __future__ import annotations

import email
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from benchmarks import journeys
from benchmarks.soak.cluster import Cluster
from meristem.events.bus import BROKER


class Booking(NamedTuple):
    """A booking as the reservations keep it."""

    booking_id: str
    status: str
    price: Decimal
    hold_id: str | None = None


class Hold(NamedTuple):
    """A room for a stay, as the rooms keep it: `departure` is the morning after the last night."""

    hold_id: str
    room_id: str
    arrival: date
    departure: date
    state: str


@dataclass
class Evidence:
    """What the audit looks at.

    `bank` and `ledger` are what was kept of each booking's money, `promised` what its guest was last told.
    `rooms` says how many rooms there are of each kind, `occupancy` how many of them the search believes to be taken in
    a night. `arrived` are Message-IDs without their domain. `heard` is by subscriber and source the ids of the events
    that its inbox records. `waiting` counts what is yet to be done, by name.
    """

    bookings: list[Booking]
    promised: Mapping[str, str]
    bank: Mapping[str, Decimal]
    ledger: Mapping[str, Decimal]
    rooms: Mapping[str, int]
    holds: list[Hold]
    occupancy: Mapping[tuple[str, date], int]
    hotels: int
    arrived: list[str]
    receipts: Counter[str]
    milestones: Counter[tuple[str, str]]
    heard: Mapping[tuple[str, str], list[str]]
    waiting: Mapping[str, int]


class Databases:
    """Reads the services' databases, on either kind, beside the services."""

    def __init__(self, folder: Path, cluster: Cluster | None) -> None:
        self._folder = folder / ".meristem" / "hotels"
        self._cluster = cluster

    def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """What a query finds in a service's database."""
        if self._cluster is not None:
            with psycopg.connect(self._cluster.url(service)) as server:
                return server.execute(query.encode()).fetchall()
        with closing(sqlite3.connect(self._folder / f"{service}.db")) as file:
            return file.execute(query).fetchall()

    def waiting(self) -> dict[str, int]:
        """What is yet to be done: 0 of everything once all has settled."""
        of_services = ("rooms", "documents", "notifications", "reservations")
        found = {f"events of {each}": self._count(each, "meristem_outbox") for each in of_services}
        found |= {f"dead letters of {each}": self._count(each, "meristem_dead_letter") for each in of_services}
        found["sagas"] = self._count("reservations", "meristem_saga WHERE state NOT IN ('done', 'failed')")
        found["parked sagas"] = self._count("reservations", "meristem_saga WHERE state = 'parked'")
        return found

    def _count(self, service: str, source: str) -> int:
        return int(self.rows(service, f"SELECT count(*) FROM {source}")[0][0])


def owed(subscribers: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What is yet to be done where events go over a broker, by what `meristem events list` tells of subscribers.

    A broker is one of them, to which outboxes owe events, and has no lag of its own.
    """
    found: dict[str, int] = {}
    for each in subscribers:
        name, lag = each["name"], each["lag"]
        found |= {f"events owed to {name}": each["waiting"], f"dead letters for {name}": each["dead"]}
        if not name.startswith(BROKER):
            found[f"events that the broker has for {name}"] = lag or 0
            found[f"lags of {name} that the broker does not tell"] = int(lag is None)
    return found


def read(
    databases: Databases,
    third: journeys.Parties,
    promised: Mapping[str, str],
    subscribers: Iterable[Mapping[str, Any]] = (),
) -> Evidence:
    """Everything; the site stands still or has gone. The subscribers are told of where there is a broker."""
    rows = databases.rows
    return Evidence(
        bookings=[
            Booking(_id(booking), status, _money(price), _hold_of(held))
            for booking, status, price, held in rows(
                "reservations", "SELECT booking_id, status, amount, hold FROM bookings"
            )
        ],
        promised=promised,
        bank=_bank(third.url),
        ledger=_ledger(rows("payments", "SELECT kind, booking_id, amount FROM ledger")),
        rooms={_id(room): count for room, count in rows("rooms", "SELECT room_id, count FROM rooms")},
        holds=[
            Hold(_id(hold), _id(room), _day(arrival), _day(departure), state)
            for hold, room, arrival, departure, state in rows(
                "rooms", "SELECT hold_id, room_id, arrival, departure, state FROM holds"
            )
        ],
        occupancy={
            (_id(room), _day(night)): taken
            for room, night, taken in rows("search", "SELECT room_id, night, taken FROM occupancy")
        },
        hotels=rows("rooms", "SELECT count(*) FROM hotels")[0][0],
        arrived=_mails(third.mailbox),
        receipts=Counter(_id(booking) for (booking,) in rows("documents", "SELECT booking_id FROM receipts")),
        milestones=Counter(
            (_id(booking), milestone)
            for booking, milestone in rows("reservations", "SELECT booking_id, milestone FROM tracking")
        ),
        heard=_heard(databases),
        waiting=databases.waiting() | owed(subscribers),
    )


def _heard(databases: Databases) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for service in ("search", "documents", "notifications", "reservations"):
        query = "SELECT subscriber, source, event_id FROM meristem_inbox"
        for subscriber, source, event in databases.rows(service, query):
            found[subscriber, source.rpartition("/")[2]].append(event)
    return dict(found)


def _bank(url: str) -> dict[str, Decimal]:
    kept: dict[str, Decimal] = defaultdict(Decimal)
    for line in journeys.fetch(f"{url}/bank/statement", seconds=120.0):
        kept[line["reference"]] += Decimal(line["net"])
    return dict(kept)


def _ledger(lines: list[tuple[Any, ...]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for kind, booking, amount in lines:
        found[_id(booking)] += _money(amount) * (1 if kind == "charge" else -1)
    return dict(found)


def _mails(mailbox: Path) -> list[str]:
    raw = (each.read_bytes() for each in (mailbox / "new").iterdir())
    ids = [str(email.message_from_bytes(each)["Message-ID"]) for each in raw]
    return [each.strip().lstrip("<").partition("@")[0] for each in ids]


def _hold_of(held: Any) -> str | None:
    found = json.loads(held) if isinstance(held, str) else held
    return None if found is None else _id(found["hold_id"])


def _id(value: Any) -> str:
    return str(UUID(bytes=value) if isinstance(value, bytes) else UUID(str(value)))


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _money(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))
