"""The partner's offers over HTTP, within a budget that includes everything; whatever it does, a search goes on."""

from __future__ import annotations

import asyncio
import logging
from datetime import date
from decimal import Decimal
from typing import Annotated

import aiohttp
import msgspec

from hotels.contracts.search import PartnerState
from hotels.search.settings import SearchSettings
from meristem import Clock

logger = logging.getLogger(__name__)

CONNECTIONS = 50
LARGEST_ANSWER = 1_000_000
DEAREST = 1_000_000


class PartnerOffer(msgspec.Struct):
    """An offer as the partner writes it; it is a stranger's, so nothing that a page could trip over gets in."""

    hotel: Annotated[str, msgspec.Meta(max_length=200)]
    room: Annotated[str, msgspec.Meta(max_length=200)]
    stars: Annotated[int, msgspec.Meta(ge=0, le=7)]
    price_per_night: Decimal
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    url: Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2000)]

    def __post_init__(self) -> None:
        if not (self.price_per_night.is_finite() and 0 <= self.price_per_night < DEAREST):
            raise ValueError("the price is none")


class PartnerAnswer(msgspec.Struct):
    """The body of an answer."""

    offers: Annotated[list[PartnerOffer], msgspec.Meta(max_length=200)]


class PartnerFailed(Exception):
    """The partner answered something that is no answer."""


Outcome = tuple[PartnerState, list[PartnerOffer]]


class PartnerClient:
    """Asks the partner; never raises for what the partner does, never takes longer than the budget."""

    def __init__(self, settings: SearchSettings, clock: Clock) -> None:
        self.settings = settings
        self.breaker = Breaker(settings.partner_failures, settings.partner_pause, clock)
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def offers(self, city: str, arrival: date, nights: int, guests: int) -> Outcome:
        """The partner's offers, or the reason why there are none."""
        if not self.breaker.lets_through():
            return PartnerState.DOWN, []
        stay = {"city": city, "arrival": arrival.isoformat(), "nights": str(nights), "guests": str(guests)}
        try:
            async with asyncio.timeout(self.settings.partner_budget):
                offers = await self._ask(stay)
        except TimeoutError:
            self.breaker.failed()
            return PartnerState.SLOW, []
        except (aiohttp.ClientError, OSError, msgspec.DecodeError, PartnerFailed) as failure:
            logger.warning("the partner failed: %s: %s", type(failure).__name__, failure)
            self.breaker.failed()
            return PartnerState.DOWN, []
        except asyncio.CancelledError:
            self.breaker.abandoned()
            raise
        self.breaker.succeeded()
        return PartnerState.ANSWERED, offers

    async def _ask(self, stay: dict[str, str]) -> list[PartnerOffer]:
        if self._http is None:
            raise PartnerFailed("the client was not started")
        url = f"{self.settings.partner_url}/offers"
        async with self._http.get(url, params=stay, allow_redirects=False) as response:
            if response.status != 200:
                raise PartnerFailed(f"it answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise PartnerFailed(f"its answer is larger than {LARGEST_ANSWER} bytes")
        return msgspec.json.decode(body, type=PartnerAnswer, strict=False).offers


class Breaker:
    """Leaves a partner alone that failed several times in a row; after a pause one request tries whether it is back."""

    def __init__(self, failures: int, pause: float, clock: Clock) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._closed_until = clock.steady()
        self._trying = False

    def lets_through(self) -> bool:
        """Whether the next request may go; one that goes must be answered by one of the three below."""
        if self._failures < self._limit:
            return True
        if self._trying or self._clock.steady() < self._closed_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The partner answered well."""
        self._failures = 0
        self._trying = False

    def failed(self) -> None:
        """The partner was too slow or answered badly."""
        self._failures += 1
        self._trying = False
        self._closed_until = self._clock.steady() + self._pause

    def abandoned(self) -> None:
        """Nobody waits for the answer any more: it says nothing about the partner."""
        self._trying = False
