"""Passwords that nobody guesses, and owners whom no guess holds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol, final

import pytest
from sitekit.accounts import throttle
from sitekit.accounts.authentication import Authentication
from sitekit.accounts.faults import TooManyAttempts, WrongCredentials
from sitekit.accounts.passwords import Passwords
from sitekit.accounts.settings import PasswordSettings
from sitekit.accounts.strength import refuse_weak, weakness
from sitekit.accounts.throttle import Throttle
from sitekit.accounts.tokens import device_of, digest, new_token
from sqlalchemy import MetaData, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from meristem import CallError, Contract, Service, System, operation
from meristem.testing import ManualClock, RunningSystem, running

CHEAP: dict[str, Any] = {"time_cost": 1, "memory_kib": 8}
OWNER, RIGHT = "zoe@guest.example", "seven hills"
STATEMENTS = (
    throttle.FAILURES,
    throttle.INSERT_FAILURE,
    throttle.COUNT_FAILURE,
    throttle.FORGET_FAILURES,
    throttle.FORGET_OLD_FAILURES,
)
metadata = MetaData()
kept_failures = throttle.add_to(metadata)


class Gate(Contract, Protocol, package="kit.v1"):
    """One account."""

    @operation(raises=[WrongCredentials, TooManyAttempts])
    async def enter(self, email: str, password: str, device: str = "") -> str:
        """Give the password; answers what the browser is known by."""
        ...


@final
class GateService(Gate, Service, tables=metadata, provides=[Passwords, Throttle, Authentication]):
    def __init__(self, authentication: Authentication) -> None:
        self.authentication = authentication
        self.kept = ""

    async def enter(self, email: str, password: str, device: str = "") -> str:
        self.kept = self.kept or await self.authentication.passwords.hash(RIGHT)
        kept = self.kept if email == OWNER else None
        return device_of(await self.authentication.prove(email, kept, password, device))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def app(clock: ManualClock, tmp_path: Path) -> AsyncIterator[RunningSystem]:
    system = System("kit", services=[GateService])
    async with running(
        system, settings={"gate": CHEAP}, clock=clock, database=f"sqlite:///{tmp_path}/{{service}}.db"
    ) as started:
        yield started


@pytest.fixture
def gate(app: RunningSystem) -> Gate:
    return app.client(Gate)


async def guessed(gate: Gate, times: int, email: str = OWNER, device: str = "") -> list[type[BaseException]]:
    """What so many wrong passwords are answered, one after the other."""
    answers = [
        await asyncio.gather(gate.enter(email, "something wrong", device), return_exceptions=True) for _ in range(times)
    ]
    return [type(answer) for (answer,) in answers]  # type: ignore[misc]


FIVE_THEN_WAIT = [WrongCredentials] * 5 + [TooManyAttempts]


async def test_after_five_wrong_passwords_each_further_one_waits_longer_and_a_minute_at_most(
    gate: Gate, clock: ManualClock
) -> None:
    assert await guessed(gate, 6) == FIVE_THEN_WAIT
    waits = []
    for _ in range(9):
        with pytest.raises(TooManyAttempts) as refusal:
            await gate.enter(OWNER, RIGHT)  # the right one waits, too, or its answer would tell
        waits.append(refusal.value.wait)
        await clock.advance(refusal.value.wait)
        assert await guessed(gate, 1) == [WrongCredentials]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    await clock.advance(60)
    assert await gate.enter(OWNER, RIGHT)
    assert await guessed(gate, 5) == [WrongCredentials] * 5  # a right one ends the count


async def test_guesses_at_once_are_no_way_around(gate: Gate) -> None:
    answers = await asyncio.gather(
        *(gate.enter(OWNER, f"something wrong {number}") for number in range(40)), return_exceptions=True
    )
    assert sum(isinstance(answer, WrongCredentials) for answer in answers) == 5
    assert sum(isinstance(answer, TooManyAttempts) for answer in answers) == 35


async def test_a_stranger_s_guesses_never_hold_up_a_browser_that_is_known(gate: Gate) -> None:
    device = await gate.enter(OWNER, RIGHT)
    assert await guessed(gate, 6) == FIVE_THEN_WAIT

    assert await gate.enter(OWNER, RIGHT, device) == device
    with pytest.raises(TooManyAttempts):
        await gate.enter(OWNER, RIGHT, "f" * 64)
    assert await guessed(gate, 6, device=device) == FIVE_THEN_WAIT


async def test_an_address_without_an_account_waits_as_one_with(gate: Gate) -> None:
    assert await guessed(gate, 6, "nobody@guest.example") == FIVE_THEN_WAIT


async def test_an_address_without_an_account_costs_a_hash_too(
    gate: Gate, app: RunningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords, verified = app.service(GateService).authentication.passwords, []
    plain = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda kept, given: verified.append(kept) or plain(kept, given))
    with pytest.raises(WrongCredentials):
        await gate.enter("nobody@guest.example", RIGHT)
    assert [each[:10] for each in verified] == ["$argon2id$"]


async def test_failures_are_forgotten(gate: Gate, app: RunningSystem, clock: ManualClock) -> None:
    await guessed(gate, 7)
    await clock.advance(3700)
    await app.service(GateService).authentication.throttle.forget_old()
    assert await app.database(GateService).fetch_all(select(kept_failures)) == []
    assert await guessed(gate, 5) == [WrongCredentials] * 5


async def test_failures_of_long_ago_count_no_more_before_they_are_dropped(gate: Gate, clock: ManualClock) -> None:
    await guessed(gate, 7)
    await clock.advance(3700)
    assert await guessed(gate, 6) == FIVE_THEN_WAIT


async def test_a_hash_of_old_parameters_is_replaced(gate: Gate, app: RunningSystem) -> None:
    await gate.enter(OWNER, RIGHT)
    service = app.service(GateService)
    dearer = Passwords(PasswordSettings(time_cost=2, memory_kib=16, lanes=1))
    await dearer.start()
    try:
        proved = await Authentication(dearer, service.authentication.throttle).prove(OWNER, service.kept, RIGHT)
        assert "m=16,t=2" in proved
        assert await dearer.is_right(RIGHT, proved)
        assert not dearer.is_outdated(proved)
    finally:
        await dearer.stop()


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
def test_every_statement_is_understood_by_every_database(dialect: Any) -> None:
    for statement in STATEMENTS:
        assert str(statement.compile(dialect=dialect))
    assert str(CreateTable(kept_failures).compile(dialect=dialect))


def test_of_a_token_nothing_is_kept_that_could_be_sent() -> None:
    first, second = new_token(), new_token()
    assert first != second
    assert len(first) == 43
    assert digest(first) == digest(first) != digest(second)


GUESSED_SOON = (
    "password", "Password1!", "p@ssw0rd", "12345678", "87654321", "11111111", "abcabcabc", "qwertyuiop", "asdf1234",
    "1qaz2wsx", "iloveyou2", "trustno1", "Welcome2026", "letmein123", "zoe-1guest", "Lamplight1", "ffffffff",
    "qwertyasdfgh",
)  # fmt: skip


@pytest.mark.parametrize("password", GUESSED_SOON)
def test_a_password_that_is_guessed_soon_is_refused(password: str) -> None:
    with pytest.raises(CallError) as refusal:
        refuse_weak(password, "Zoë", OWNER, ["lamplight"])
    assert [each.field for each in refusal.value.violations] == ["password"]
    assert "Choose another one" in refusal.value.violations[0].reason


@pytest.mark.parametrize(
    "password", ["seven hills", "correct horse", "analytical engine", "tK4!mz0q", "gänseblümchen", "水曜日は雨が降る"]
)  # fmt: skip
def test_any_other_password_passes_whatever_it_is_made_of(password: str) -> None:
    assert weakness(password, "Zoë", OWNER, ["lamplight"]) is None
