"""Accounts and sessions: opened, kept in a guarded cookie, closed."""

import pytest
from hotels.contracts.users import TooManyAttempts

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "password": "correct horse"}
SIGN_IN = {"email": "ada@example.org", "password": "correct horse"}


async def test_an_account_is_opened_and_signed_in(visitor):
    page = await visitor.follow(await visitor.send("/sign-up", **ADA))
    assert page.heading == "My bookings"
    assert "Welcome, Ada Lovelace." in page.text


async def test_the_cookie_is_signed_and_out_of_reach_of_scripts_and_other_sites(visitor):
    cookies = (await visitor.send("/sign-up", **ADA)).headers.getlist("Set-Cookie")
    assert sorted(each.split("=")[0] for each in cookies) == ["lamplight", "lamplight-device"]
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie


@pytest.mark.parametrize("address", ["/sign-in", "/sign-up"])
async def test_who_asks_for_the_head_of_a_page_sends_no_form(visitor, address):
    assert (await visitor.client.head(address)).status_code == 200


async def test_a_wrong_password_is_said_beside_the_field(visitor):
    await visitor.sign_up()
    visitor.client.cookie_jar.clear()
    page = await visitor.send("/sign-in", email="ada@example.org", password="wrong")
    assert page.status == 422
    assert 'id="password-error">The e-mail address or the password is wrong.' in page.html
    assert "wrong horse" not in page.html


async def test_signing_in_leads_where_the_visitor_wanted_to_go(visitor):
    await visitor.sign_up()
    visitor.client.cookie_jar.clear()
    page = await visitor.send("/sign-in?next=/bookings", **SIGN_IN)
    assert page.headers["Location"] == "/bookings"


async def test_an_address_can_have_one_account(visitor):
    await visitor.sign_up()
    visitor.client.cookie_jar.clear()
    page = await visitor.send("/sign-up", **ADA)
    assert page.status == 422
    assert "There is an account with this address already" in page.text


async def test_each_wrong_field_is_explained(visitor):
    page = await visitor.send("/sign-up", name=" ", email="ada@", password="short")
    assert page.status == 422
    for name in ("name", "email", "password"):
        assert f'id="{name}-error"' in page.html


async def test_an_address_that_no_letter_reaches_is_explained(visitor, world):
    page = await visitor.send("/sign-up", **{**ADA, "email": "adá@example.org"})
    assert page.status == 422
    assert "without accents before the @" in page.text
    assert world.people.accounts == {}


async def test_spaces_count_in_a_password(visitor, world):
    await visitor.send("/sign-up", **{**ADA, "password": "  padded  "})
    assert world.people.accounts["ada@example.org"][1] == "  padded  "


async def test_signing_out_closes_the_session_everywhere(visitor, world):
    await visitor.sign_up()
    token = (await visitor.get("/bookings")).hidden("form_token")
    assert (await visitor.post("/sign-out", {"form_token": token})).status == 303
    assert world.people.sessions == {}
    assert (await visitor.get("/bookings")).status == 303


async def test_who_has_to_wait_is_told_how_long(visitor, world):
    world.broken["Users.sign_in"] = TooManyAttempts(wait=8)
    page = await visitor.send("/sign-in", **SIGN_IN)
    assert page.status == 429
    assert "Wait 8 seconds, then try again." in page.text


async def test_a_browser_is_known_again_after_its_guest_signed_out(visitor, world):
    await visitor.sign_up()
    token = (await visitor.get("/bookings")).hidden("form_token")
    await visitor.post("/sign-out", {"form_token": token})
    await visitor.send("/sign-in", **SIGN_IN)
    assert [each.device for each in world.people.asked] == ["", "known to be ada@example.org"]
