"""The whole site as its users meet it: started by the command in a folder of its own, reached by HTTP alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import httpx
from hotels.contracts.payments import LedgerEntry, Payments
from served import CARD, DECLINED, PATIENCE, Served, eventually, in_time

from meristem import connect

__all__ = ["ARRIVAL", "CARD", "DECLINED", "PATIENCE", "Site", "eventually", "guest", "in_time", "milestones", "run"]

SYSTEM = "hotels.system:system"
ARRIVAL = date.today() + timedelta(days=40)  # noqa: DTZ011 - a stay in the near future, whatever the zone


def guest(name: str) -> dict[str, str]:
    """A guest of this name, with an address and a password."""
    return {"name": name, "email": f"{name.lower().replace(' ', '.')}@example.com", "password": "analytical engine"}


class Site(Served):
    """One run of the site; `command` starts it, by default as a user would, `placement` says where its parts live."""

    system = SYSTEM
    variables: ClassVar = {
        "HOTELS_ROOMS_HOTELS": "300",
        "HOTELS_NOTIFICATIONS_SMTP_URL": "smtp://127.0.0.1:{mail_port}",
    }

    def search(self, city: str = "Lisbon", guests: int = 2, **more: Any) -> dict[str, Any]:
        query = {"city": city, "arrival": ARRIVAL.isoformat(), "nights": 2, "guests": guests, **more}
        found = in_time(lambda: self.http.get("/api/hotels", params=query))
        assert found.status_code == 200, found.text
        return found.json()

    def own_offers(self, **query: Any) -> list[dict[str, Any]]:
        """What we offer ourselves, the cheapest first."""
        return [each for each in self.search(limit=200, **query)["offers"] if each["source"] == "own"]

    def rooms(self) -> list[dict[str, Any]]:
        """Every room of ours in the ten cities with most hotels."""
        cities = [each["name"] for each in self.http.get("/api/cities").json()]
        return [each for city in cities for each in self.own_offers(city=city, guests=1)]

    def holds(self, room_id: str) -> int:
        """How many rooms of this kind are held or booked, as the database of rooms says."""
        path = self.home / ".meristem" / "hotels" / "rooms.db"
        statement = "SELECT count(*) FROM holds WHERE room_id = ? AND state IN ('held', 'confirmed')"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(statement, [UUID(room_id).hex]).fetchone()[0]

    def free(self, room_id: str, city: str = "Lisbon") -> int:
        """How many rooms of this kind a search finds."""
        offers = self.own_offers(city=city, guests=1)
        return next((each["free"] for each in offers if each["room_id"] == room_id), 0)

    def book(self, room_id: str, key: str, /, **more: Any) -> httpx.Response:
        stay = {"room_id": room_id, "arrival": ARRIVAL.isoformat(), "nights": 2, "guests": 1}
        request = {**stay, "card": CARD, **more}
        return in_time(lambda: self.http.post("/api/bookings", json=request, headers={"Idempotency-Key": key}))

    def cancel(self, booking_id: str, key: str, headers: dict[str, str]) -> httpx.Response:
        named = {**headers, "Idempotency-Key": key}
        return in_time(lambda: self.http.delete(f"/api/bookings/{booking_id}", headers=named))

    def sign_in(self, who: dict[str, str]) -> httpx.Response:
        named = {"email": who["email"], "password": who["password"]}
        return in_time(lambda: self.http.post("/api/sessions", json=named))

    def signed_in(self, who: dict[str, str]) -> dict[str, str]:
        """The headers of requests by somebody."""
        session = self.sign_in(who)
        assert session.status_code == 201, session.text
        return {"Authorization": f"Bearer {session.json()['token']}"}

    def bookings(self, headers: dict[str, str]) -> list[dict[str, Any]]:
        found = in_time(lambda: self.http.get("/api/bookings", headers=headers))
        assert found.status_code == 200, found.text
        return found.json()

    def booking(self, booking_id: str, headers: dict[str, str]) -> dict[str, Any]:
        found = in_time(lambda: self.http.get(f"/api/bookings/{booking_id}", headers=headers))
        assert found.status_code == 200, found.text
        return found.json()

    def ledger(self, booking_id: str) -> list[LedgerEntry]:
        """What payments entered for a booking, asked as another part of the system would."""

        async def asked() -> list[LedgerEntry]:
            async with connect(folder=self.home, service="auditor") as hotels:
                return await hotels.client(Payments).ledger(UUID(booking_id))

        return asyncio.run(asked())


@contextmanager
def run(home: Path, placement: Path | None = None) -> Iterator[Site]:
    """A site from its start to its end."""
    site = Site(home, placement=placement)
    try:
        yield site.started()
    finally:
        site.stop()


def milestones(booking: dict[str, Any]) -> list[str]:
    return [each["milestone"] for each in booking["tracking"]]
