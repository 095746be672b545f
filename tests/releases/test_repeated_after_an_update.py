"""A call that was cut off is repeated after an update: what it had done below is found again, and not done twice.

What is derived of a key and of a request is therefore the same in every release. Nothing tells a call that was cut off
from a new one: an answer is stored with the effect, and there is none of either. So a value below must never change.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Flow,
    Message,
    Service,
    System,
    once,
    operation,
    safe,
    saga,
    using,
)
from meristem.context import Context
from meristem.contracts.canonical import canonical
from meristem.events.envelope import Envelope
from meristem.keys import KeyChain, Work, scoped
from meristem.sagas.commands import fingerprint
from meristem.sagas.origin import id_of
from meristem.security.digest import Digest
from meristem.testing import running


class Guest(Message):
    name: str
    born: datetime | None = None


class Booking(Message):
    room: int
    price: Decimal
    guests: list[Guest] = []
    extras: frozenset[str] = frozenset()
    notes: dict[str, str] = {}


BOOKING = Booking(
    room=7,
    price=Decimal("120.50"),
    guests=[Guest(name="Ada", born=datetime(1990, 12, 10, 8, tzinfo=UTC)), Guest(name="Zoë")],
    extras=frozenset({"view", "breakfast"}),
    notes={"late": "23:00", "bed": "two"},
)


def test_the_keys_below_a_call_are_what_they_were_in_every_release():
    outside = KeyChain.below(Work("shop", "/shop.v1.Shop/Buy", "ada", b'{"item":"tea"}'), "order-7", by_service=False)
    anonymous = KeyChain.below(Work("shop", "/shop.v1.Shop/Buy", None, b"{}"), "order-7", by_service=False)
    further = anonymous.derive("/bank.v1.Bank/Pay", None)
    inside = KeyChain.below(Work("shop", "/bank.v1.Bank/Pay", None, b""), further, by_service=True)

    ada = "ufdee430d40bd57deeac186cd9790033d"
    assert scoped("shop", "/shop.v1.Shop/Buy", "ada", "order-7") == f"343e2e313da78a5255bd6b1ec3aea10f.{ada}"
    assert [outside.derive("/bank.v1.Bank/Pay", whose) for whose in ("ada", "bob", None)] == [
        f"9c50e3c4dcceb381e3c5ad92a48fd7df.{ada}",
        "490b29a61d84ba6621d8c2c6c235bb7f.u718172c6557bc3a791f4236b1a1fa128",
        "c796d4843dce88121ce669dc80f2f6f6.ua068fcf85c33eb7336a83125b6055e68",
    ]
    assert further == "401153ab0095ddbde09a13bbba44af5e.a"
    assert inside.derive("/till.v1.Till/Put", None) == "b0eb58a544f4c0c9c776816a6677530b.a"
    sold = Envelope(id="0190a3f2-7c1d-7b3e-9a54-2f6d8c0e1b77", source="//shop/orders", type="shop.v1.Sold")
    assert sold.context("till").key == "0190a3f2-7c1d-7b3e-9a54-2f6d8c0e1b77:till"
    assert id_of("shop", "buy", further) == "b20cac9cd780fcb6468ebc7073aa9528"


def test_a_request_is_known_by_what_it_was_in_every_release():
    text = (
        '{"extras":["breakfast","view"],"guests":[{"born":"1990-12-10T08:00:00Z","name":"Ada"},{"name":"Zoë"}],'
        '"notes":{"bed":"two","late":"23:00"},"price":"120.50","room":7}'
    )
    assert canonical(BOOKING).decode() == text
    digest = Digest(b"a secret of thirty-two bytes ....", "once").of(canonical(BOOKING), b"ada")
    assert digest == "aa718b1fb032275b373a21c7e219e4e073fc326fdea8e55ab30382e1395a83fd"
    assert fingerprint("Rooms.book", (BOOKING, 3)) == "b845cfd90b0211d8"


SECRET = b"the processes of the shop share it, whatever their release"
payments = MetaData()
PAYMENTS = Table("payments", payments, Column("id", Integer, primary_key=True), Column("item", String))


class Bank(Contract, Protocol, package="update.bank.v1"):
    @once
    async def pay(self, item: str) -> int: ...

    @safe
    async def paid(self) -> int: ...


class BankService(Bank, Service, tables=payments):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def pay(self, item: str) -> int:
        await self.database.execute(insert(PAYMENTS), {"item": item})
        return await self.paid()

    async def paid(self) -> int:
        return int(await self.database.fetch_value(select(func.count()).select_from(PAYMENTS)))


def first_release() -> System:
    """A shop that is cut off once it has had the bank pay for a lamp."""

    class Order(Message):
        item: str

    class Shop(Contract, Protocol, package="update.shop.v1"):
        @once
        async def buy(self, order: Order) -> int: ...

        @operation
        async def fetch(self, item: str) -> int: ...

        @once
        async def lease(self, item: str) -> int: ...

    class ShopService(Shop, Service, name="shop"):
        def __init__(self, bank: Bank, database: Database) -> None:
            self.bank = bank
            self.database = database

        async def buy(self, order: Order) -> int:
            return await self.fetch(order.item)

        async def fetch(self, item: str) -> int:
            number = await self.bank.pay(item)
            if item == "lamp":
                raise CallError(Code.UNAVAILABLE, "the power failed")
            return number

        @saga
        async def lease(self, flow: Flow, item: str) -> int:
            return await self.bank.pay(item)

    return System("shop", services=[ShopService, BankService])


def next_release() -> System:
    """The shop whose requests have more fields."""

    class Order(Message):
        item: str
        note: str = ""
        tags: list[str] = []

    class Shop(Contract, Protocol, package="update.shop.v1"):
        @once
        async def buy(self, order: Order) -> int: ...

        @operation
        async def fetch(self, item: str, note: str = "") -> int: ...

        @once
        async def lease(self, item: str, note: str = "") -> int: ...

    class ShopService(Shop, Service, name="shop"):
        def __init__(self, bank: Bank, database: Database) -> None:
            self.bank = bank
            self.database = database

        async def buy(self, order: Order) -> int:
            return await self.bank.pay(order.item)

        async def fetch(self, item: str, note: str = "") -> int:
            return await self.bank.pay(item)

        @saga
        async def lease(self, flow: Flow, item: str, note: str = "") -> int:
            return await self.bank.pay(item)

    return System("shop", services=[ShopService, BankService])


@pytest.mark.parametrize("how", ["buy", "fetch", "lease"])
@pytest.mark.parametrize("caller", [None, "tests"], ids=["outside", "service"])
async def test_what_was_done_is_found_again_by_a_release_that_adds_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, caller: str | None
):
    monkeypatch.setattr("meristem.runtime.options.new_secret", lambda: SECRET)
    url = f"sqlite:///{tmp_path}/{{service}}.db"

    async def ask(system: System, item: str, key: str, **more: Any) -> int:
        [shop] = [contract for contract in system.services[0].__mro__ if contract.__name__ == "Shop"]
        operations: Any = shop.client()
        request = shop.buy.__annotations__["order"](item=item, **more) if how == "buy" else item
        with using(Context(caller=caller, key=key)):
            return await getattr(operations, how)(request, **({} if how == "buy" else more))

    first, following = first_release(), next_release()
    async with running(first, database=url):
        assert await ask(first, "chair", "order-1") == 1
        if how != "lease":
            with pytest.raises(CallError, match="the power failed"):
                await ask(first, "lamp", "order-2")
    async with running(following, database=url):
        assert await ask(following, "chair", "order-1") == 1
        assert await ask(following, "lamp", "order-2") == 2
        assert await Bank.client().paid() == 2
        if how != "fetch":
            with pytest.raises(CallError) as caught:
                await ask(following, "chair", "order-1", note="wrapped")
            assert caught.value.code is Code.ALREADY_EXISTS
