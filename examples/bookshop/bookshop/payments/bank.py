"""The bank's web service: cards against tokens, charges and refunds, each once per idempotency key."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, TypeVar

import aiohttp
import msgspec

from bookshop.contracts.items import CURRENCY
from bookshop.contracts.payments import Card, CardDeclined, CardInvalid, CardToken, Charge, Payment
from bookshop.payments.settings import BankSettings
from meristem import CallError, Code

T = TypeVar("T")


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
    """Speaks HTTP with the bank.

    What the bank refuses arrives as a fault. All else is a CallError that says whether money may have moved: ask again
    with the same key.
    """

    def __init__(self, settings: BankSettings) -> None:
        self._url = settings.bank_url
        self._timeout = settings.bank_timeout
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def tokenize(self, card: Card) -> CardToken:
        """The bank's token for a card; raises CardInvalid."""
        status, answer = await self._post("/tokens", msgspec.structs.asdict(card))
        if status == 422:
            problem = _problem(answer)
            raise CardInvalid(field=problem.field, reason=problem.detail)
        return _read(status, answer, CardToken)

    async def charge(self, charge: Charge, key: str) -> Payment:
        """Take the money; raises CardDeclined when the bank refuses the card, and nothing was taken."""
        body = {
            "token": charge.card.token,
            "amount": _decimal(charge.amount),
            "currency": CURRENCY,
            "reference": str(charge.order_id),
        }
        status, answer = await self._post("/charges", body, key)
        if status == 402:
            problem = _problem(answer)
            raise CardDeclined(reason=problem.reason or problem.detail)
        charged = _read(status, answer, BankCharge)
        return Payment(order_id=charge.order_id, amount=charge.amount, reference=charged.id, last4=charge.card.last4)

    async def refund(self, payment: Payment, key: str) -> BankRefund:
        """Give the money of a charge back."""
        body = {"amount": _decimal(payment.amount)}
        status, answer = await self._post(f"/charges/{payment.reference}/refunds", body, key)
        return _read(status, answer, BankRefund)

    async def _post(self, path: str, body: dict[str, Any], key: str | None = None) -> tuple[int, bytes]:
        if self._http is None:
            raise CallError(Code.UNAVAILABLE, "the client of the bank was not started", may_have_happened=False)
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.post(self._url + path, data=msgspec.json.encode(body), headers=headers) as response,
            ):
                return response.status, await response.read()
        except TimeoutError:
            late = f"the bank did not answer within {self._timeout:g} s"
            raise CallError(Code.DEADLINE_EXCEEDED, late) from None
        except aiohttp.ClientConnectorError as failure:
            away = f"the bank cannot be reached: {failure}"
            raise CallError(Code.UNAVAILABLE, away, may_have_happened=False) from None
        except (aiohttp.ClientError, OSError) as failure:
            raise CallError(Code.UNAVAILABLE, f"the connection to the bank broke: {failure}") from None


def _decimal(cents: int) -> str:
    """`"12.50"` of 1250."""
    return str(Decimal(cents).scaleb(-2))


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
