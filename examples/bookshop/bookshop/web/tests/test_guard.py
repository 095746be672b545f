"""What keeps others out of a reader's session, and a card's number out of the pages."""

from __future__ import annotations

from typing import Any

import pytest
from bookshop.conftest import PASSWORD
from bookshop.web.tests.conftest import CARD, HOME

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("bookshop pages")]


@pytest.mark.parametrize("address", ["/", "/sign-in", "/nowhere", "/static/site.css"])
async def test_a_browser_runs_and_frames_nothing_that_is_not_ours(reader: Any, address: str) -> None:
    headers = (await reader.get(address)).headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "/%09/evil.example", "evil"]
)
async def test_a_sign_in_leads_to_no_other_site(new_reader: Any, elsewhere: str) -> None:
    email = await new_reader().sign_up()
    page = await new_reader().send(f"/sign-in?next={elsewhere}", email=email, password=PASSWORD)
    assert (page.status, page.headers["Location"]) == (303, "/")


async def test_a_sign_in_begins_a_new_session(new_reader: Any) -> None:
    email, reader = await new_reader().sign_up(), new_reader()
    page = await reader.get("/sign-in")
    before = {"form_token": page.hidden()["form_token"]}
    await reader.post("/sign-in", {**before, "email": email, "password": PASSWORD})
    assert (await reader.get("/account")).hidden()["form_token"] != before["form_token"]
    page = await reader.follow(await reader.post("/account", before))
    assert "You signed in or out after that page was opened" in page.text


async def test_to_ask_for_the_head_of_a_page_changes_nothing(reader: Any) -> None:
    for address in ("/sign-in", "/sign-up"):
        assert (await reader.client.head(address)).status_code == 200
    await reader.sign_up()
    await reader.send("/account", offers="1")
    assert (await reader.client.head("/account")).status_code == 200
    assert 'name="offers" value="1" checked' in (await reader.get("/account")).html


@pytest.mark.parametrize("wrong", [{"street": " "}, {"cvc": "x"}, {"number": "4000 0000 0000 0002"}])
async def test_no_page_repeats_a_card(reader: Any, wrong: dict[str, str]) -> None:
    await reader.add(1)
    await reader.sign_up()
    sent = {**HOME, **CARD, **wrong}
    page = await reader.send("/checkout", **sent)
    assert page.status in (402, 422)
    assert page.headers["Cache-Control"] == "no-store"
    assert f'value="{sent["number"]}"' not in page.html
    assert f'value="{sent["cvc"]}"' not in page.html
