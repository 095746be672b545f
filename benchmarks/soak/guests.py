"""Guests who search, book, look, cancel and repeat themselves, and who ask again when the site does not answer."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import aiohttp

CITIES = ("Lisbon", "Porto", "Paris", "Berlin", "Kyoto", "Ljubljana", "London", "Rome")
EXPIRY = {"expiry": "12/40", "cvc": "123"}
GOOD, DECLINED, AWAY = "4242424242424242", "4000000000000002", "4000000000000341"
PATIENCE = 240.0  # seconds for which a guest asks again: a killed supervisor is followed within two minutes
REFUSED_FOR_GOOD = 45.0  # seconds for which one key is answered 5xx until it is believed: its saga was undone
PASSWORD = "analytical engine"
REFUSED = {402, 404, 409, 422}
POPULAR = 0.15  # of the bookings are for a stay that all guests want, until as many have asked as WANTED
WANTED = 24
NIGHTS = 2


class Guests:
    """`count` guests; `promised` is what they were last told of each booking, `wrong` what should not have happened."""

    def __init__(self, http: aiohttp.ClientSession, seed: int, count: int) -> None:
        self.http = http
        self.count = count
        self.booked = 0
        self.promised: dict[str, str] = {}
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._dice = [random.Random(f"guest {number} {seed}") for number in range(count)]
        self._tokens: list[str] = []
        self._stays: Iterator[tuple[str, date]] = iter(())
        self._popular: list[tuple[str, date]] = []
        self._today = date.today()  # noqa: DTZ011 - a stay in the near future, whatever the zone

    async def arrive(self) -> None:
        """Sign in, and learn which rooms there are."""
        for number in range(self.count):
            login = {"email": f"visitor{number}@guests.example", "password": PASSWORD}
            await self._ask("POST", "/api/users", json={"name": "Ada Lovelace", **login})
            _, session = await self._ask("POST", "/api/sessions", json=login)
            self._tokens.append(session["token"])
        rooms = [each["room_id"] for city in CITIES for each in await self._offers(city) if each["source"] == "own"]
        if not rooms:
            raise RuntimeError("the site offers no room")
        days = [self._today + timedelta(days=30 + NIGHTS * each) for each in range(340)]
        self._stays = ((room, day) for day in days for room in rooms)

    async def stay(self, number: int, is_over: Callable[[], bool]) -> None:
        """One guest until it is over."""
        mine: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        dice = self._dice[number]
        while not is_over():
            chance = dice.random()
            if chance < 0.12:
                await self._offers(dice.choice(CITIES))
            elif chance < 0.82 or not mine:
                await self._book(number, mine)
            elif chance < 0.88:
                await self._repeat(number, *dice.choice(mine))
            elif chance < 0.94:
                await self._look(number, dice.choice(mine)[2]["booking_id"])
            else:
                await self._cancel(number, mine.pop(dice.randrange(len(mine)))[2]["booking_id"])

    async def _offers(self, city: str) -> list[dict[str, Any]]:
        arrival = (self._today + timedelta(days=30)).isoformat()
        query = {"city": city, "arrival": arrival, "nights": NIGHTS, "guests": 1, "limit": 200}
        answer = await self._ask("GET", "/api/hotels", params=query)
        offers: list[dict[str, Any]] = [] if answer is None else answer[1]["offers"]
        return offers

    async def _book(self, number: int, mine: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
        dice = self._dice[number]
        room, arrival = self._popular_stay() if dice.random() < POPULAR else next(self._stays)
        card = dice.choices([GOOD, DECLINED, AWAY], [0.93, 0.05, 0.02])[0]
        wish = {"room_id": room, "arrival": arrival.isoformat(), "nights": NIGHTS, "guests": 1}
        body = {**wish, "card": {"number": card, **EXPIRY}}
        key = uuid.UUID(int=dice.getrandbits(128)).hex
        answer = await self._ask("POST", "/api/bookings", number, key=key, json=body)
        if answer is None or answer[0] != 201:
            return
        booking = answer[1]
        if card == DECLINED:
            self.wrong.append(f"a card that the bank declines booked {booking['booking_id']}")
        self.booked += 1
        self.promised[booking["booking_id"]] = "confirmed"
        mine.append((key, body, booking))

    def _popular_stay(self) -> tuple[str, date]:
        if not self._popular:
            self._popular = [next(self._stays)] * WANTED
        return self._popular.pop()

    async def _repeat(self, number: int, key: str, body: dict[str, Any], first: dict[str, Any]) -> None:
        answer = await self._ask("POST", "/api/bookings", number, key=key, json=body)
        if answer is not None and (answer[0] != 201 or answer[1]["booking_id"] != first["booking_id"]):
            self.wrong.append(f"the key of booking {first['booking_id']} was answered {answer[0]} {answer[1]}")

    async def _look(self, number: int, booking: str) -> None:
        answer = await self._ask("GET", f"/api/bookings/{booking}", number)
        if answer is not None and (answer[0] != 200 or answer[1]["status"] != self.promised[booking]):
            self.wrong.append(f"booking {booking}, {self.promised[booking]}, was shown as {answer[0]} {answer[1]}")

    async def _cancel(self, number: int, booking: str) -> None:
        key = uuid.UUID(int=self._dice[number].getrandbits(128)).hex
        del self.promised[booking]  # until it is answered, either is true
        answer = await self._ask("DELETE", f"/api/bookings/{booking}", number, key=key)
        if answer is not None and answer[0] == 200 and answer[1]["status"] == "cancelled":
            self.promised[booking] = "cancelled"
        elif answer is not None:
            self.wrong.append(f"cancelling {booking} was answered {answer[0]} {answer[1]}")

    async def _ask(
        self, verb: str, path: str, number: int | None = None, *, key: str = "", **more: Any
    ) -> tuple[int, Any] | None:
        """Status and body; asked again, with the same key, while the site is in trouble. None where it stays so."""
        headers = {"Authorization": f"Bearer {self._tokens[number]}"} if number is not None else {}
        headers |= {"Idempotency-Key": key} if key else {}
        began, pause, what = time.monotonic(), 0.1, f"{verb} {path.rpartition('/')[0] or path}"
        while True:
            try:
                async with self.http.request(verb, path, headers=headers, **more) as answer:
                    if answer.status < 300 or answer.status in REFUSED:
                        self.outcomes[f"{verb} {answer.status}"] += 1
                        return answer.status, await answer.json()
                    trouble, said = str(answer.status), (await answer.text())[:200]
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                trouble, said = type(failure).__name__, str(failure)
            self.outcomes[f"asked again after {trouble}"] += 1
            if trouble == "500":
                self.outcomes[f"500: {said}"] += 1
            waited = time.monotonic() - began
            if key and verb == "POST" and trouble.startswith("5") and waited > REFUSED_FOR_GOOD:
                self.outcomes["booking given up by its guest"] += 1
                return None
            if waited > PATIENCE:
                self.wrong.append(f"{what} was not answered within {PATIENCE:g} s: {trouble} {said}")
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 1.7, 2.0)
