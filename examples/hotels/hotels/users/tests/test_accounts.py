"""Accounts by e-mail address; who can't prove to be somebody learns nothing about anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hotels.contracts.users import Credentials, EmailTaken, NewUser, TooManyAttempts, Users, WrongCredentials
from hotels.users import tables
from hotels.users.service import UsersService
from sitekit.accounts.passwords import Passwords
from sitekit.accounts.settings import PasswordSettings
from sqlalchemy import select

from meristem import CallError, Code, Database
from meristem.testing import ManualClock, RunningSystem

CHEAP: dict[str, Any] = {"time_cost": 1, "memory_kib": 8, "lanes": 1}
ZOE = NewUser(name="Zoë", email="Zoe@Guest.example", password="seven hills")


class Site:
    """A client of the accounts, and what stands behind them for the tests that look or reach into it."""

    def __init__(self, app: RunningSystem) -> None:
        self.app = app
        self.client = app.client(Users)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self.client, operation)

    @property
    def service(self) -> UsersService:
        return self.app.service(UsersService)

    @property
    def database(self) -> Database:
        return self.app.database(UsersService)


@pytest.fixture
def users(run: Callable[..., Any]) -> Callable[..., Any]:
    """`async with users() as site:`; with a clock for the tests in which time matters."""

    @asynccontextmanager
    async def open_users(clock: ManualClock | None = None) -> Any:
        async with run(UsersService, clock=clock, settings={"users": CHEAP}) as app:
            yield Site(app)

    return open_users


def signing_in(email: str = ZOE.email, password: str = ZOE.password) -> Credentials:
    return Credentials(email=email, password=password)


async def test_somebody_signs_up_in_and_out(users: Callable[..., Any]) -> None:
    async with users() as site:
        user = await site.sign_up(ZOE)
        session = await site.sign_in(signing_in("zoe@GUEST.example"))

        assert session.user == user
        assert await site.identify(session.token) == user
        assert await site.user(user.user_id) == user

        await site.sign_out(session.token)
        assert await site.identify(session.token) is None


async def test_an_address_has_one_account(users: Callable[..., Any]) -> None:
    async with users() as site:
        await site.sign_up(ZOE)
        again = NewUser(name="Somebody else", email="zoe@guest.example", password="another one")
        with pytest.raises(EmailTaken):
            await site.sign_up(again)


@pytest.mark.parametrize("name", [" ", "Zoë\nBcc: everybody", "Zo\x00", "\u202eëoZ"])
async def test_a_name_is_one_line_that_shows_as_it_is(users: Callable[..., Any], name: str) -> None:
    async with users() as site:
        for open_account in (site.sign_up, site.enroll):
            with pytest.raises(CallError) as refusal:
                await open_account(msgspec.structs.replace(ZOE, name=name))
            assert [each.field for each in refusal.value.violations] == ["name"]


async def test_of_many_who_take_an_address_at_once_one_gets_it(users: Callable[..., Any]) -> None:
    async with users() as site:
        answers = await asyncio.gather(*(site.sign_up(ZOE) for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(answer, EmailTaken) for answer in answers) == 9


async def test_enrolling_opens_an_account_or_enters_it(users: Callable[..., Any]) -> None:
    async with users() as site:
        first = await site.enroll(ZOE)
        second = await site.enroll(ZOE)

        assert first == second
        with pytest.raises(WrongCredentials):
            await site.enroll(NewUser(name="Zoë", email=ZOE.email, password="not hers at all"))


@pytest.mark.parametrize("email", [ZOE.email, "nobody@guest.example"])
async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(
    users: Callable[..., Any], email: str
) -> None:
    async with users() as site:
        await site.sign_up(ZOE)
        with pytest.raises(WrongCredentials) as refusal:
            await site.sign_in(signing_in(email, "something wrong"))

    assert refusal.value.values() == {}


async def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(users: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with users(clock) as site:
        user = await site.sign_up(ZOE)
        used, unused = await site.sign_in(signing_in()), await site.sign_in(signing_in())
        for _ in range(3):
            clock._now += timedelta(days=10)
            assert await site.identify(used.token) == user

        assert await site.identify(unused.token) is None
        clock._now += timedelta(days=14)
        assert await site.identify(used.token) is None


async def test_a_token_is_kept_by_its_digest_alone(users: Callable[..., Any]) -> None:
    async with users() as site:
        await site.sign_up(ZOE)
        session = await site.sign_in(signing_in())
        rows = await site.database.fetch_all(select(tables.sessions))
        accounts = await site.database.fetch_all(select(tables.users))

    assert len(session.token) >= 43
    assert session.token not in repr(rows)
    assert ZOE.password not in repr(accounts)


async def test_expired_sessions_are_forgotten(users: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with users(clock) as site:
        await site.sign_up(ZOE)
        await site.sign_in(signing_in())
        clock._now += timedelta(days=15)

        await site.service.forget_expired()

        assert await site.database.fetch_all(select(tables.sessions)) == []


async def test_a_made_up_token_is_nobodys(users: Callable[..., Any]) -> None:
    async with users() as site:
        for token in ["", "x", "\N{SNOWMAN}", "a" * 10_000]:
            assert await site.identify(token) is None, token
            await site.sign_out(token)


async def test_nobody_has_an_id_that_was_never_given(users: Callable[..., Any]) -> None:
    async with users() as site:
        assert await site.user(uuid4()) is None


async def test_an_address_that_no_letter_reaches_is_refused(users: Callable[..., Any]) -> None:
    async with users() as site:
        for name in ["zoe,max@guest", "zoe..max@guest", "zoe@gue_st", "zoe@\N{SNOWMAN}"]:
            with pytest.raises(CallError) as refusal:
                await site.sign_up(NewUser(name="Zoë", email=f"{name}.example", password="seven hills"))

            assert refusal.value.code is Code.INVALID_ARGUMENT, name
            assert [violation.field for violation in refusal.value.violations] == ["email"], name


@pytest.mark.parametrize("email", ["zoë@guest.example", "\N{KELVIN SIGN}ay@guest.example", "zoe @guest.example"])
def test_the_contract_takes_no_address_that_a_server_without_smtputf8_refuses(email: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.email"):
        msgspec.convert({"name": "Zoë", "email": email, "password": "seven hills"}, NewUser)


async def test_a_domain_beyond_ascii_is_one_address_in_each_of_its_spellings(users: Callable[..., Any]) -> None:
    async with users() as site:
        user = await site.sign_up(NewUser(name="Zoë", email="Zoe@Bücher.example", password=ZOE.password))
        assert user.email == "zoe@xn--bcher-kva.example"

        for spelling in ("zoe@bücher.example", "ZOE@BU\N{COMBINING DIAERESIS}CHER.EXAMPLE", user.email):
            assert (await site.sign_in(signing_in(spelling))).user == user
            with pytest.raises(EmailTaken):
                await site.sign_up(NewUser(name="Max", email=spelling, password="another one"))


async def test_a_hash_of_old_parameters_is_replaced_at_the_next_sign_in(users: Callable[..., Any]) -> None:
    async with users() as site:
        await site.sign_up(ZOE)
        dearer = Passwords(PasswordSettings(time_cost=2, memory_kib=16, lanes=1))
        await dearer.start()
        authentication = site.service.authentication
        authentication.passwords, cheap = dearer, authentication.passwords
        try:
            await site.sign_in(signing_in())
            kept = (await site.database.fetch_all(select(tables.users)))[0]["password_hash"]
            assert "m=16,t=2" in kept
            assert await site.sign_in(signing_in())
        finally:
            await dearer.stop()
            authentication.passwords = cheap


# ── who guesses ──


async def guessed(site: Any, times: int, **changes: Any) -> list[type[Exception]]:
    """What so many wrong passwords are answered."""
    wrong = msgspec.structs.replace(signing_in(password="something wrong"), **changes)
    answers = [await asyncio.gather(site.sign_in(wrong), return_exceptions=True) for _ in range(times)]
    return [type(answer) for (answer,) in answers]


async def test_a_stranger_s_guesses_never_hold_up_a_browser_that_is_known(users: Callable[..., Any]) -> None:
    async with users(ManualClock()) as site:
        await site.sign_up(ZOE)
        device = (await site.sign_in(signing_in())).device
        assert await guessed(site, 6) == [WrongCredentials] * 5 + [TooManyAttempts]

        known = msgspec.structs.replace(signing_in(), device=device)
        assert (await site.sign_in(known)).device == device
        forged = msgspec.structs.replace(signing_in(), device="f" * 64)
        with pytest.raises(TooManyAttempts):
            await site.sign_in(forged)
        assert await guessed(site, 6, device=device) == [WrongCredentials] * 5 + [TooManyAttempts]


async def test_enrolling_is_no_way_to_guess(users: Callable[..., Any]) -> None:
    async with users(ManualClock()) as site:
        await site.sign_up(ZOE)
        wrong = msgspec.structs.replace(ZOE, password="something wrong")
        for kind in [WrongCredentials] * 5 + [TooManyAttempts]:
            with pytest.raises(kind):
                await site.enroll(wrong)


async def test_failures_are_forgotten(users: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with users(clock) as site:
        await site.sign_up(ZOE)
        await guessed(site, 7)
        await clock.advance(3700)
        await site.service.forget_expired()
        assert await site.database.fetch_all(select(tables.failures)) == []
        assert await guessed(site, 5) == [WrongCredentials] * 5


async def test_a_password_that_is_guessed_soon_is_refused(users: Callable[..., Any]) -> None:
    async with users() as site:
        for password in ("Password1!", "Lamplight1", "zoe-1guest"):
            for open_account in (site.sign_up, site.enroll):
                with pytest.raises(CallError) as refusal:
                    await open_account(msgspec.structs.replace(ZOE, password=password))
                assert [each.field for each in refusal.value.violations] == ["password"], password
                assert "Choose another one" in refusal.value.violations[0].reason, password
