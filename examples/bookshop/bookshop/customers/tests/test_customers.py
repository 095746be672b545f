"""Accounts, sessions, and passwords that nobody guesses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bookshop.contracts.customers import (
    Credentials,
    Customer,
    Customers,
    EmailTaken,
    NewCustomer,
    TooManyAttempts,
    WrongCredentials,
)
from bookshop.customers.service import CustomersService
from bookshop.customers.tables import FIRST_CUSTOMER
from msgspec.structs import replace

from meristem import CallError, Code, Identity, using
from meristem.testing import ManualClock

ADA = NewCustomer(name=" Ada Lovelace ", email="Ada@Reader.example", password="analytical engine")
CHEAP = {"customers": {"time_cost": 1, "memory_kib": 8}}


def credentials(password: str = ADA.password) -> Credentials:
    return Credentials(email="ada@reader.example", password=password)


@pytest.fixture
async def customers(run: Callable[..., Any]) -> AsyncIterator[Customers]:
    async with run(CustomersService, settings=CHEAP) as app:
        yield app.client(Customers)


async def test_who_signs_up_can_sign_in_and_out(customers: Customers) -> None:
    ada = await customers.sign_up(ADA)
    assert (ada.name, ada.email, ada.offers) == ("Ada Lovelace", "ada@reader.example", False)
    session = await customers.sign_in(credentials())
    assert session.customer == ada == await customers.identify(session.token)
    assert await customers.customer(ada.customer_id) == ada
    await customers.sign_out(session.token)
    assert await customers.identify(session.token) is None
    assert await customers.customer(99) is None


async def test_an_address_is_one_account(customers: Customers) -> None:
    answers = await asyncio.gather(*(customers.sign_up(ADA) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, Customer) for each in answers) == 1
    assert sum(isinstance(each, EmailTaken) for each in answers) == 4


async def test_customers_who_sign_up_at_once_have_numbers_of_their_own(customers: Customers) -> None:
    readers = [replace(ADA, email=f"reader{number}@reader.example") for number in range(8)]
    opened = await asyncio.gather(*(customers.sign_up(each) for each in readers))
    assert sorted(each.customer_id for each in opened) == list(range(FIRST_CUSTOMER, FIRST_CUSTOMER + 8))
    assert [each.email for each in opened] == [each.email for each in readers]


@pytest.mark.parametrize(
    "email", ["ada", "ada@host", "a da@reader.example", ".ada@reader.example", "ada@reader..x", "ada@reader.example\n"]
)
async def test_what_is_no_address_is_refused(customers: Customers, email: str) -> None:
    with pytest.raises(CallError) as raised:
        await customers.sign_up(NewCustomer(name="Ada", email=email, password="analytical engine"))
    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("name", [" ", "Ada\nBcc: everybody", "Ada\x00", "\u202eadA"])
async def test_a_name_is_one_line_that_shows_as_it_is(customers: Customers, name: str) -> None:
    with pytest.raises(CallError) as raised:
        await customers.sign_up(NewCustomer(name=name, email="ada@reader.example", password="analytical engine"))
    assert [each.field for each in raised.value.violations] == ["name"]


async def test_a_stranger_s_guesses_hold_up_nobody_who_has_signed_in_before(run: Callable[..., Any]) -> None:
    async with run(CustomersService, settings=CHEAP, clock=ManualClock()) as app:
        customers = app.client(Customers)
        await customers.sign_up(ADA)
        device = (await customers.sign_in(credentials())).device
        for _ in range(5):
            with pytest.raises(WrongCredentials):
                await customers.sign_in(credentials("difference engine"))
        with pytest.raises(TooManyAttempts):
            await customers.sign_in(credentials())
        known = Credentials(email=ADA.email, password=ADA.password, device=device)
        assert (await customers.sign_in(known)).device == device


async def test_who_has_no_account_is_answered_as_who_has_one(customers: Customers) -> None:
    nobody = Credentials(email="nobody@reader.example", password="difference engine")
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            await customers.sign_in(nobody)
    with pytest.raises(TooManyAttempts):
        await customers.sign_in(nobody)


@pytest.mark.parametrize("password", ["Password1!", "bookshop1", "ada-reader"])
async def test_a_password_that_is_guessed_soon_is_refused(customers: Customers, password: str) -> None:
    with pytest.raises(CallError) as refusal:
        await customers.sign_up(NewCustomer(name="Ada", email="ada@reader.example", password=password))
    assert [each.field for each in refusal.value.violations] == ["password"]


async def test_a_session_ends(run: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with run(CustomersService, settings=CHEAP, clock=clock) as app:
        customers = app.client(Customers)
        await customers.sign_up(ADA)
        session = await customers.sign_in(credentials())
        clock._now += timedelta(days=15)
        assert await customers.identify(session.token) is None


async def test_offers_are_for_those_who_want_them(customers: Customers) -> None:
    wanted = []
    for number in range(5):
        new = NewCustomer(name="R", email=f"r{number}@reader.example", password="analytical engine", offers=number > 1)
        wanted.append(await customers.sign_up(new))
    first = await customers.who_want_offers(limit=2)
    second = await customers.who_want_offers(after=first[-1].customer_id, limit=2)
    assert (first, second) == (wanted[2:4], wanted[4:])
    with using(user=Identity(str(wanted[4].customer_id))):
        assert not (await customers.want_offers(offers=False)).offers
    assert await customers.who_want_offers() == wanted[2:4]
    with pytest.raises(CallError) as raised:
        await customers.want_offers(offers=True)
    assert raised.value.code is Code.UNAUTHENTICATED


@pytest.mark.sqlite
async def test_neither_password_nor_token_is_in_the_database(customers: Customers, tmp_path: Path) -> None:
    await customers.sign_up(ADA)
    session = await customers.sign_in(credentials())
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("*.db*"))  # noqa: ASYNC240 - of a test
    assert b"reader.example" in kept
    assert ADA.password.encode() not in kept
    assert session.token.encode() not in kept
