"""Who guesses at account after account has to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sitekit.accounts.faults import EmailTaken, TooManyAttempts
from sitekit.pages.attempts import MOST, REMEMBERED, TAKEN, WINDOW, WRONG, Attempts, network_of

from meristem import CallError, Code


async def test_a_wrong_password_is_said_beside_the_field(visitor: Any) -> None:
    page = await visitor.send("/sign-in", password="wrong horse")
    assert page.status_code == 422
    assert f'id="password-error">{WRONG}' in page.html
    assert "wrong horse" not in page.html


async def test_who_has_to_wait_is_told_how_long(visitor: Any, world: Any) -> None:
    world.failing = TooManyAttempts(wait=8)
    page = await visitor.send("/sign-in")
    assert (page.status_code, "Wait 8 seconds, then try again." in page.html) == (429, True)


async def test_a_service_that_is_away_is_a_calm_page(visitor: Any, world: Any) -> None:
    world.failing = CallError(Code.UNAVAILABLE, "connection to 10.0.0.7 refused")
    page = await visitor.send("/sign-in")
    assert (page.status_code, "10.0.0.7" in page.html) == (503, False)


@pytest.mark.parametrize("failing", [None, EmailTaken(email="ada@example.org")], ids=["wrong", "taken"])
async def test_an_address_that_tries_account_after_account_has_to_wait(
    visitor: Any, world: Any, failing: Exception | None
) -> None:
    world.failing = failing
    for _ in range(MOST):
        page = await visitor.send("/sign-in", password="Summer2026")
        assert page.status_code == 422
        assert (WRONG if failing is None else TAKEN) in page.html
    world.failing = None
    assert (await visitor.send("/sign-in", password="right")).status_code == 429
    assert world.entered == []


async def test_our_own_proxies_are_believed_whose_address_it_is(visitor: Any, make_app: Callable[..., Any]) -> None:
    behind = type(visitor)(make_app(proxies=1))
    token = await behind.token()

    async def guess(address: str) -> int:
        headers = {"X-Forwarded-For": f"198.51.100.9, {address}"}
        page = await behind.post("/sign-in", {"form_token": token}, headers=headers)
        status: int = page.status_code
        return status

    assert [await guess("192.0.2.1") for _ in range(MOST + 1)] == [422] * MOST + [429]
    assert await guess("192.0.2.2") == 422


def test_failures_are_counted_for_a_while_and_for_so_many_addresses() -> None:
    now = [0.0]
    counted = Attempts(lambda: now[0])
    for _ in range(MOST):
        counted.admit("192.0.2.1")
        counted.failed("192.0.2.1")
    with pytest.raises(TooManyAttempts):
        counted.admit("192.0.2.1")
    counted.admit("192.0.2.2")
    now[0] = WINDOW
    counted.admit("192.0.2.1")
    for number in range(REMEMBERED + 5):
        counted.failed(str(number))
    assert len(counted._failures) == REMEMBERED


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_machine_with_many_addresses_is_one(address: str, network: str) -> None:
    assert network_of(address) == network
