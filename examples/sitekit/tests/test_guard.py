"""What keeps other sites out of a visitor's session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

RIGHT = {"password": "right"}


async def test_a_form_without_its_token_is_shown_anew_and_does_nothing(visitor: Any, world: Any) -> None:
    await visitor.token()
    page = await visitor.post("/sign-in?next=/mine", RIGHT)
    assert (page.status_code, page.headers["Location"]) == (303, "/sign-in?next=/mine")
    assert "nothing was sent" in (await visitor.get("/sign-in?next=/mine")).html
    assert world.entered == []


async def test_a_form_without_a_session_has_a_way_on(visitor: Any, world: Any) -> None:
    page = await visitor.post("/sign-in?next=/mine", RIGHT)
    assert page.status_code == 403
    assert 'href="/sign-in?next=/mine">Open it' in page.html
    assert world.entered == []


async def test_a_form_that_stands_on_every_page_leads_home(visitor: Any) -> None:
    await visitor.token()
    assert (await visitor.post("/sign-out", {"form_token": "of another session"})).headers["Location"] == "/"


async def test_a_token_of_another_visitor_is_refused(visitor: Any, app: Any, world: Any) -> None:
    await visitor.token()
    stranger = await type(visitor)(app).token()
    assert (await visitor.post("/sign-in", {**RIGHT, "form_token": stranger})).headers["Location"] == "/sign-in"
    assert world.entered == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_a_form_of_another_site_is_refused_even_with_a_token(
    visitor: Any, world: Any, headers: dict[str, str]
) -> None:
    page = await visitor.post("/sign-in", {**RIGHT, "form_token": await visitor.token()}, headers=headers)
    assert page.status_code == 403
    assert "came from another site" in page.html
    assert world.entered == []


async def test_a_form_of_this_site_is_accepted(visitor: Any, world: Any) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    page = await visitor.post("/sign-in", {**RIGHT, "form_token": await visitor.token()}, headers=headers)
    assert (page.status_code, len(world.entered)) == (303, 1)


@pytest.mark.parametrize("path", ["/", "/mine", "/nowhere", "/kit/forms.js"])
async def test_a_browser_runs_and_frames_nothing_that_is_not_ours(visitor: Any, path: str) -> None:
    headers = (await visitor.get(path)).headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


async def test_a_site_says_which_directives_it_needs_beside_the_usual_ones(
    visitor: Any, make_app: Callable[..., Any]
) -> None:
    app = make_app(policy={"img-src": "'self' data:", "font-src": "'self'"})
    policy = (await type(visitor)(app).get("/")).headers["Content-Security-Policy"].split("; ")
    assert {"img-src 'self' data:", "font-src 'self'", "script-src 'self'"} <= set(policy)


async def test_a_form_larger_than_any_of_ours_is_refused(visitor: Any) -> None:
    assert (await visitor.post("/sign-in", {"password": "x" * 100_000})).status_code == 413
