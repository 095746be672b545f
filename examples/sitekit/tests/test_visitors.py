"""Whose session a cookie holds, who reads it, and where a sign-in leads."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sitekit.pages.secret import kept_secret
from sitekit.pages.visitors import local_path

from meristem import CallError, Code


async def test_the_cookies_are_for_this_site_alone_and_for_no_script(visitor: Any) -> None:
    cookies = (await visitor.send("/sign-in", password="right")).headers.getlist("Set-Cookie")
    assert sorted(each.split("=")[0] for each in cookies) == ["kit", "kit-device"]
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Secure" not in cookie


async def test_over_https_the_cookie_never_travels_in_the_clear(visitor: Any) -> None:
    assert "Secure" in (await visitor.get("/sign-in", scheme="https")).headers["Set-Cookie"]


async def test_a_tampered_cookie_is_nobody(visitor: Any) -> None:
    visitor.client.set_cookie("localhost", "kit", "eyJ0b2tlbiI6ImFkYSdzIn0.aaaa.bbbb")
    page = await visitor.get("/mine?of=1")
    assert (page.status_code, page.headers["Location"]) == (303, "/sign-in?next=/mine?of%3D1")


async def test_a_sign_in_drops_what_the_session_held_before(visitor: Any) -> None:
    before = await visitor.token()
    await visitor.post("/sign-in", {"form_token": before, "password": "right"})
    assert await visitor.token("/mine") != before


async def test_a_browser_is_known_again_after_its_visitor_signed_out(visitor: Any, world: Any) -> None:
    await visitor.send("/sign-in", password="right")
    visitor.client.cookie_jar.clear("localhost.local", "/", "kit")
    await visitor.send("/sign-in", password="right")
    assert world.entered == ["", "a device of ada's"]


async def test_a_session_that_has_ended_is_asked_to_begin_anew(visitor: Any, world: Any) -> None:
    await visitor.send("/sign-in", password="right")
    world.failing = CallError(Code.UNAUTHENTICATED, "this session has ended")
    assert (await visitor.get("/")).headers["Location"] == "/sign-in?next=/"


async def test_who_cannot_be_recognised_sees_what_needs_no_sign_in(
    visitor: Any, world: Any, make_app: Callable[..., Any]
) -> None:
    async def away(token: str) -> None:
        raise CallError(Code.UNAVAILABLE, "away")

    browser = type(visitor)(make_app())
    await browser.send("/sign-in", password="right")
    other = type(visitor)(make_app(identify=away))
    other.client.cookie_jar = browser.client.cookie_jar
    assert (await other.get("/")).status_code == 200
    assert (await other.get("/mine")).status_code == 503


async def test_pages_of_a_visitor_are_stored_by_nobody(visitor: Any) -> None:
    assert (await visitor.get("/kit/forms.js")).headers["Cache-Control"] == "no-cache"
    assert (await visitor.get("/nowhere")).headers["Cache-Control"] == "private, no-cache"
    await visitor.send("/sign-in", password="right")
    assert (await visitor.get("/mine")).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "", "/\n/evil.example", "evil", None],
)
def test_an_address_of_another_site_is_never_followed(address: str | None) -> None:
    assert local_path(address) is None


def test_a_page_of_this_site_is() -> None:
    assert local_path("/rooms/1/pay?arrival=2030-01-01") == "/rooms/1/pay?arrival=2030-01-01"


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "web.secret"
    first = kept_secret(file)
    assert len(first) >= 48
    assert kept_secret(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["web.secret"]
