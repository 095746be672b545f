"""What keeps others out: form tokens, origins, headers, calm errors, a secret that stays one."""

import re

import pytest
from hotels.web.settings import WebSettings

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "password": "correct horse"}


async def test_a_form_without_its_token_is_shown_anew_and_does_nothing(visitor, world):
    await visitor.get("/sign-up?next=/bookings")
    page = await visitor.post("/sign-up?next=/bookings", ADA)
    assert page.headers["Location"] == "/sign-up?next=/bookings"
    page = await visitor.follow(page)
    assert (page.status, page.heading) == (200, "Sign up")
    assert "nothing was sent" in page.text
    assert world.people.accounts == {}


async def test_signing_out_twice_in_two_tabs_leads_home(visitor):
    await visitor.sign_up()
    token = (await visitor.get("/bookings")).hidden("form_token")
    await visitor.post("/sign-out", {"form_token": token})
    await visitor.get("/sign-in")
    page = await visitor.post("/sign-out", {"form_token": token})
    assert page.headers["Location"] == "/"


@pytest.mark.parametrize(
    "path", ["/", "/search?city=Lisbon", "/sign-in", "/nowhere", "/cities.json", "/static/site.css"]
)
async def test_every_answer_carries_the_security_headers(visitor, path):
    headers = (await visitor.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/search?city=Lisbon", "/search?city=Nowhere", "/sign-up", "/nowhere"])
async def test_no_page_needs_inline_script_or_style(visitor, path):
    html = (await visitor.get(path)).html
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]+src=)|javascript:", html)


@pytest.mark.parametrize("path", ["/", "/search?city=Lisbon", "/sign-up"])
async def test_every_field_has_a_label_and_every_id_is_unique(visitor, path):
    html = (await visitor.get(path)).html
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    fields = re.findall(r'<input id="([^"]+)"', html)
    assert fields
    assert all(f'<label for="{name}">' in html for name in fields)


async def test_a_missing_page_says_so(visitor):
    page = await visitor.get("/nowhere")
    assert page.status == 404
    assert page.heading == "There is nothing here"


async def test_styles_and_scripts_are_kept_by_browsers_until_they_change(visitor):
    address = re.search(r'href="(/static/site.css[^"]+)"', (await visitor.get("/")).html)[1]
    assert "immutable" in (await visitor.get(address)).headers["Cache-Control"]
    assert (await visitor.get("/static/site.css?v=old")).headers["Cache-Control"] == "no-cache"


async def test_pages_of_a_guest_are_stored_by_nobody(visitor):
    assert (await visitor.get("/")).headers["Cache-Control"] == "private, no-cache"
    await visitor.sign_up()
    assert (await visitor.get("/")).headers["Cache-Control"] == "no-store"


def test_a_configured_secret_is_used_and_nothing_is_written(tmp_path):
    settings = WebSettings(secret="given", secret_file=tmp_path / "web.secret")
    assert settings.signing_secret() == "given"
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_the_environment():
    read = WebSettings.read({"HOTELS_WEB_SECRET": "s", "HOTELS_WEB_DEMONSTRATION": "0"})
    assert (read.secret, read.demonstration, read.proxies) == ("s", False, 0)
    assert WebSettings.read({"HOTELS_WEB_PROXIES": "1"}).proxies == 1
    assert WebSettings.read({}).demonstration
