"""Guests who search, book, look, cancel and repeat themselves, and who ask again when the site does not answer."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import aiohttp

from benchmarks.audit import Seen

CITIES = ("Lisbon", "Porto", "Paris", "Berlin", "Kyoto", "Ljubljana", "London", "Rome")
EXPIRY = {"expiry": "12/40", "cvc": "123"}
GOOD, DECLINED, AWAY = "4242424242424242", "4000000000000002", "4000000000000341"
PATIENCE = 90.0  # seconds for which a guest asks again
THINKING = (0.1, 0.8)
PASSWORD = "analytical engine"
REFUSED = {402, 404, 409, 422}


class Visitors:
    """`count` guests; `promised` is what they were last told of each booking, `wrong` what should not have happened."""

    count = 8

    def __init__(self, http: aiohttp.ClientSession, rng: random.Random) -> None:
        self.http = http
        self.rng = rng
        self.promised: dict[str, str] = {}
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._tokens: list[str] = []
        self._stays: Iterator[tuple[str, date]] = iter(())
        self._today = date.today()  # noqa: DTZ011 - a stay in the near future, whatever the zone

    async def arrive(self) -> None:
        """Sign in, and learn which rooms there are."""
        for number in range(self.count):
            login = {"email": f"visitor{number}@guests.example", "password": PASSWORD}
            await self._ask("POST", "/api/users", json={"name": "Ada Lovelace", **login})
            _, session = await self._ask("POST", "/api/sessions", json=login)
            self._tokens.append(session["token"])
        rooms = [each["room_id"] for city in CITIES for each in await self._offers(city) if each["source"] == "own"]
        days = [self._today + timedelta(days=30 + 2 * each) for each in range(300)]
        self._stays = ((room, day) for day in days for room in rooms)

    async def stay(self, number: int, end: float) -> None:
        """One guest until then."""
        mine: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        while time.monotonic() < end:
            await asyncio.sleep(self.rng.uniform(*THINKING))
            chance = self.rng.random()
            if chance < 0.6:
                await self._offers(self.rng.choice(CITIES))
            elif chance < 0.8:
                await self._book(number, mine)
            elif chance < 0.87:
                await self._ask("GET", "/api/bookings", number)
            elif chance < 0.93 and mine:
                await self._repeat(number, *self.rng.choice(mine))
            elif mine:
                await self._cancel(number, mine.pop()[2]["booking_id"])

    async def all_bookings(self) -> list[Seen]:
        """Every booking of every guest, as the site tells it now."""
        found = []
        for number in range(self.count):
            _, bookings = await self._ask("GET", "/api/bookings", number)
            found += [Seen(each["booking_id"], each["status"], Decimal(each["price"]["amount"])) for each in bookings]
        return found

    async def _offers(self, city: str) -> list[dict[str, Any]]:
        arrival = (self._today + timedelta(days=30)).isoformat()
        query = {"city": city, "arrival": arrival, "nights": 2, "guests": 1, "limit": 200}
        _, found = await self._ask("GET", "/api/hotels", params=query)
        offers: list[dict[str, Any]] = found["offers"]
        return offers

    async def _book(self, number: int, mine: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
        room, arrival = next(self._stays)
        card = self.rng.choices([GOOD, DECLINED, AWAY], [0.85, 0.1, 0.05])[0]
        wish = {"room_id": room, "arrival": arrival.isoformat(), "nights": 2, "guests": 1}
        body = {**wish, "card": {"number": card, **EXPIRY}}
        key = uuid.UUID(int=self.rng.getrandbits(128)).hex
        status, booking = await self._ask("POST", "/api/bookings", number, key=key, json=body)
        if status != 201:
            return
        if card == DECLINED:
            self.wrong.append(f"a card that the bank declines booked {booking['booking_id']}")
        self.promised[booking["booking_id"]] = "confirmed"
        mine.append((key, body, booking))

    async def _repeat(self, number: int, key: str, body: dict[str, Any], first: dict[str, Any]) -> None:
        status, again = await self._ask("POST", "/api/bookings", number, key=key, json=body)
        if status != 201 or again["booking_id"] != first["booking_id"]:
            self.wrong.append(f"the key of booking {first['booking_id']} was answered {status} {again}")

    async def _cancel(self, number: int, booking: str) -> None:
        key = uuid.UUID(int=self.rng.getrandbits(128)).hex
        status, answer = await self._ask("DELETE", f"/api/bookings/{booking}", number, key=key)
        if status == 200 and answer["status"] == "cancelled":
            self.promised[booking] = "cancelled"
        else:
            self.wrong.append(f"cancelling {booking} was answered {status} {answer}")

    async def _ask(self, verb: str, path: str, number: int | None = None, *, key: str = "", **more: Any) -> Any:
        """Status and body; asked again, with the same key, while the site is in trouble."""
        headers = {"Authorization": f"Bearer {self._tokens[number]}"} if number is not None else {}
        headers |= {"Idempotency-Key": key} if key else {}
        latest, pause, what = time.monotonic() + PATIENCE, 0.1, f"{verb} {path.rpartition('/')[0] or path}"
        while True:
            trouble = ""
            try:
                async with self.http.request(verb, path, headers=headers, **more) as answer:
                    if answer.status < 300 or answer.status in REFUSED:
                        self.outcomes[f"{verb} {answer.status}"] += 1
                        return answer.status, await answer.json()
                    trouble = f"{answer.status} {(await answer.text())[:200]}"
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                trouble = type(failure).__name__
            self.outcomes[f"{verb} asked again after {trouble.split()[0]}"] += 1
            if time.monotonic() > latest:
                raise RuntimeError(f"{what} was not answered within {PATIENCE:g} s: {trouble}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.7, 2.0)
