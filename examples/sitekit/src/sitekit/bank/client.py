"""The bank's web service: cards against tokens, charges and refunds, each once per idempotency key."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, TypeVar

import aiohttp
import msgspec

from meristem import CallError, Code, current
from sitekit.bank.cards import Card, CardDeclined, CardInvalid
from sitekit.bank.settings import BankSettings

T = TypeVar("T")

CONNECTIONS = 50


class BankToken(msgspec.Struct):
    """What the bank gives in place of a card."""

    token: str
    last4: str
    brand: str


class BankCharge(msgspec.Struct):
    """A charge as the bank recorded it."""

    id: str


class BankRefund(msgspec.Struct):
    """A refund as the bank recorded it."""

    id: str
    charge: str


class Problem(msgspec.Struct):
    """What the bank says when it refuses (RFC 9457, with members of its own)."""

    detail: str = "it gave no reason"
    field: str = "number"
    reason: str = ""


class BankClient:
    """A pool of connections to the bank.

    What the bank refuses arrives as a fault. Everything else is a CallError that says whether money may have moved:
    ask again with the same key.
    """

    def __init__(self, settings: BankSettings) -> None:
        self.settings = settings
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def tokenize(self, card: Card) -> BankToken:
        """The bank's token for a card; raises CardInvalid."""
        status, answer = await self._post("/tokens", msgspec.structs.asdict(card), key=None)
        if status == 422:
            problem = _problem(answer)
            raise CardInvalid(field=problem.field, reason=problem.detail)
        return _read(status, answer, BankToken)

    async def charge(self, token: str, amount: Decimal, currency: str, reference: str, key: str) -> BankCharge:
        """Take the money; raises CardDeclined when the bank refuses the card, and nothing was taken."""
        body = {"token": token, "amount": str(amount), "currency": currency, "reference": reference}
        status, answer = await self._post("/charges", body, key)
        if status == 402:
            problem = _problem(answer)
            raise CardDeclined(reason=problem.reason or problem.detail)
        return _read(status, answer, BankCharge)

    async def refund(self, charge: str, amount: Decimal, key: str) -> BankRefund:
        """Give the money of a charge back, which is named by its id."""
        status, answer = await self._post(f"/charges/{charge}/refunds", {"amount": str(amount)}, key)
        return _read(status, answer, BankRefund)

    async def _post(self, path: str, body: dict[str, Any], key: str | None) -> tuple[int, bytes]:
        if self._http is None:
            raise CallError(Code.UNAVAILABLE, "the client of the bank was not started", may_have_happened=False)
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        url = self.settings.bank_url + path
        try:
            async with (
                asyncio.timeout(self.settings.bank_timeout),
                self._http.post(url, data=msgspec.json.encode(body), headers=headers) as response,
            ):
                return response.status, await response.read()
        except TimeoutError:
            within = f"{self.settings.bank_timeout:g} s"
            raise CallError(Code.DEADLINE_EXCEEDED, f"the bank did not answer within {within}") from None
        except aiohttp.ClientConnectorError as failure:
            raise CallError(
                Code.UNAVAILABLE, f"the bank cannot be reached: {failure}", may_have_happened=False
            ) from None
        except (aiohttp.ClientError, OSError) as failure:
            raise CallError(Code.UNAVAILABLE, f"the connection to the bank broke: {failure}") from None


def bank_key(what: str) -> str:
    """The bank's idempotency key for the call that runs now; `@once` calls always have a key of their own."""
    key = current().key
    if key is None:
        raise CallError(Code.INTERNAL, "no money moves without an idempotency key", may_have_happened=False)
    return f"{what}-{key}"


def _read(status: int, answer: bytes, kind: type[T]) -> T:
    """The body of a success; anything else is a CallError, worth repeating if the bank may do better next time."""
    if status >= 500 or status == 429:
        raise CallError(Code.UNAVAILABLE, f"the bank answered {status}", retry_after=1.0)
    if status not in {200, 201}:
        raise CallError(Code.INTERNAL, f"the bank refused our request ({status}): {_problem(answer).detail}")
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise CallError(Code.UNAVAILABLE, f"the bank's answer cannot be read: {error}") from None


def _problem(answer: bytes) -> Problem:
    try:
        return msgspec.json.decode(answer, type=Problem)
    except msgspec.DecodeError:
        return Problem()
