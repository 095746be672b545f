"""The guests of the hotel journeys: they search and book over HTTP, and wait for the last mail of every booking.

    python -m benchmarks.guests http://127.0.0.1:8000 MAILBOX --seconds 2 --server PID [--third PID]

MAILBOX is the folder in which the mail server keeps what arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from benchmarks.load import Call, keep_in_flight
from benchmarks.machine import cpu_seconds, descendants

CITIES = ("Lisbon", "Porto", "Paris", "Berlin", "Kyoto", "Ljubljana", "London", "Rome", "Madrid", "Vienna")
CARD = {"number": "4242424242424242", "expiry": "12/40", "cvc": "123"}
GUESTS = 16
MAILS = 2  # a booking makes
DRAIN = 60.0
PASSWORD = "analytical engine"
FIRST = 30  # days from today


class Guests:
    """One site's guests; `outcomes` counts what the site answered."""

    def __init__(self, http: aiohttp.ClientSession, mailbox: Path) -> None:
        self.http = http
        self.mailbox = mailbox
        self.outcomes: Counter[str] = Counter()
        self.booked = 0
        self._today = date.today()  # noqa: DTZ011 - a stay in the near future, whatever the zone
        self._questions = itertools.cycle(CITIES)
        self._nights = itertools.count(FIRST)
        self._stays: Iterator[tuple[str, date]] = iter(())
        self._tokens: Iterator[str] = iter(())

    async def arrive(self) -> None:
        """Sign in, and learn which rooms there are."""
        tokens = [await self._sign_in(f"guest{number}@guests.example") for number in range(GUESTS)]
        self._tokens = itertools.cycle(tokens)
        offers = [
            each for city in CITIES for each in await self._offers(city, self._today + timedelta(days=FIRST), 200)
        ]
        rooms = [each["room_id"] for each in offers if each["source"] == "own"]
        days = [self._today + timedelta(days=FIRST + 2 * each) for each in range(300)]
        self._stays = ((room, day) for day in days for room in rooms)

    async def _sign_in(self, email: str) -> str:
        guest = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
        async with self.http.post("/api/users", json=guest) as answer:
            if answer.status not in {201, 409}:
                raise RuntimeError(f"signing up: {answer.status} {await answer.text()}")
        async with self.http.post("/api/sessions", json={"email": email, "password": PASSWORD}) as answer:
            found = await answer.json()
        return str(found["token"])

    async def _offers(self, city: str, arrival: date, limit: int) -> list[dict[str, Any]]:
        query = {"city": city, "arrival": arrival.isoformat(), "nights": 2, "guests": 1, "limit": limit}
        async with self.http.get("/api/hotels", params=query) as answer:
            if answer.status != 200:
                raise RuntimeError(f"searching: {answer.status} {await answer.text()}")
            found = await answer.json()
        self.outcomes[f"partner {found['partner']}"] += 1
        offers: list[dict[str, Any]] = found["offers"]
        return offers

    async def search(self) -> None:
        """One guest's search."""
        arrival = self._today + timedelta(days=next(self._nights) % 300 + FIRST)
        found = await self._offers(next(self._questions), arrival, 50)
        self.outcomes["offers"] += len(found)

    async def book(self) -> None:
        """One guest's booking."""
        room, arrival = next(self._stays)
        wish = {"room_id": room, "arrival": arrival.isoformat(), "nights": 2, "guests": 1, "card": CARD}
        headers = {"Authorization": f"Bearer {next(self._tokens)}", "Idempotency-Key": uuid.uuid4().hex}
        async with self.http.post("/api/bookings", json=wish, headers=headers) as answer:
            said = await answer.text()
        self.outcomes[f"booking {answer.status}"] += 1
        if answer.status == 201:
            self.booked += 1
        else:
            self.outcomes[f"booking {answer.status}: {said[:120]}"] += 1

    def mails(self) -> int:
        """How many mails have arrived."""
        return len(os.listdir(self.mailbox / "new"))  # noqa: PTH208 - names alone, and quickly

    async def last_mail(self, expected: int) -> bool:
        """Wait for the last mail; False when it does not come."""
        latest = time.perf_counter() + DRAIN
        while self.mails() < expected:
            if time.perf_counter() > latest:
                return False
            await asyncio.sleep(0.01)
        return True


async def measure(
    guests: Guests, in_flights: list[int], seconds: float, server: int, third: int
) -> dict[str, dict[str, float]]:
    """Journeys per second and their CPU, alone and in a crowd."""
    found = {}
    for in_flight in in_flights:
        await keep_in_flight(guests.search, in_flight, seconds * 0.3)
        found[f"search {in_flight}"] = await _journey(guests, guests.search, in_flight, seconds, server, third)
    for in_flight in in_flights:
        await _journey(guests, guests.book, in_flight, seconds * 0.3, server, third)
        found[f"book {in_flight}"] = await _journey(guests, guests.book, in_flight, seconds, server, third)
    return found


async def _journey(
    guests: Guests, call: Call, in_flight: int, seconds: float, server: int, third: int
) -> dict[str, float]:
    """Every journey of the time, to its last mail."""
    servers, thirds = descendants(server), [third]
    before, mails, began = guests.booked, guests.mails(), time.perf_counter()
    cpu = (cpu_seconds(servers), cpu_seconds(thirds), time.process_time())
    count, _ = await keep_in_flight(call, in_flight, seconds)
    answered = time.perf_counter() - began
    if booked := guests.booked - before:
        count = booked
        if not await guests.last_mail(mails + MAILS * booked):
            raise RuntimeError(f"{mails + MAILS * booked - guests.mails()} mails did not come within {DRAIN:g} s")
    took = time.perf_counter() - began
    return {
        "per_second": count / took,
        "answered_per_second": count / answered,
        "server_ms": (cpu_seconds(servers) - cpu[0]) / max(count, 1) * 1e3,
        "third_ms": (cpu_seconds(thirds) - cpu[1]) / max(count, 1) * 1e3,
        "client_ms": (time.process_time() - cpu[2]) / max(count, 1) * 1e3,
    }


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Everything, with one pool of connections."""
    timeout = aiohttp.ClientTimeout(total=60.0)
    async with aiohttp.ClientSession(given.address, timeout=timeout) as http:
        guests = Guests(http, given.mailbox)
        await guests.arrive()
        found = await measure(guests, given.in_flight, given.seconds, given.server, given.third)
    return {"figures": found, "outcomes": dict(guests.outcomes)}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("mailbox", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--server", type=int, default=0)
    parser.add_argument("--third", type=int, default=0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
