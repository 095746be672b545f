"""What keeps others out: form tokens, origins, headers, calm errors, a secret that stays one."""

import re
import stat

import pytest
from hotels.web.settings import WebSettings

from meristem import CallError, Code

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "password": "correct horse"}


async def test_a_form_without_its_token_is_shown_anew_and_does_nothing(visitor, world):
    await visitor.get("/sign-up?next=/bookings")
    page = await visitor.post("/sign-up?next=/bookings", ADA)
    assert page.headers["Location"] == "/sign-up?next=/bookings"
    page = await visitor.follow(page)
    assert (page.status, page.heading) == (200, "Sign up")
    assert "nothing was sent" in page.text
    assert world.people.accounts == {}


async def test_a_form_without_a_session_has_a_way_on(visitor, world):
    page = await visitor.post("/sign-up?next=/bookings", ADA)
    assert page.status == 403
    assert re.search(r'href="/sign-up\?next=/bookings">Open the page again', page.html)
    assert world.people.accounts == {}


async def test_signing_out_twice_in_two_tabs_leads_home(visitor):
    await visitor.sign_up()
    token = (await visitor.get("/bookings")).hidden("form_token")
    await visitor.post("/sign-out", {"form_token": token})
    await visitor.get("/sign-in")
    page = await visitor.post("/sign-out", {"form_token": token})
    assert page.headers["Location"] == "/"


async def test_a_token_of_another_visitor_is_refused(visitor, app):
    await visitor.get("/sign-up")
    stranger = await app.test_client().get("/sign-up")
    token = re.search(r'name="form_token" value="([^"]+)"', await stranger.get_data(as_text=True))[1]
    assert (await visitor.post("/sign-up", {**ADA, "form_token": token})).headers["Location"] == "/sign-up"
    assert (await visitor.get("/bookings")).status == 303


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_a_form_of_another_site_is_refused_even_with_a_token(visitor, headers):
    token = (await visitor.get("/sign-up")).hidden("form_token")
    page = await visitor.post("/sign-up", {**ADA, "form_token": token}, headers=headers)
    assert page.status == 403
    assert "came from another site" in page.text


async def test_a_form_of_this_site_is_accepted(visitor):
    token = (await visitor.get("/sign-up")).hidden("form_token")
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert (await visitor.post("/sign-up", {**ADA, "form_token": token}, headers=headers)).status == 303


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


async def test_a_crash_is_a_calm_page_and_a_logged_traceback(visitor, world, caplog):
    world.broken["Search.find"] = RuntimeError("secret detail")
    page = await visitor.get("/search?city=Lisbon")
    assert page.status == 500
    assert "secret detail" not in page.html
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.UNAVAILABLE, 503), (Code.DEADLINE_EXCEEDED, 503), (Code.RESOURCE_EXHAUSTED, 429), (Code.INTERNAL, 500)],
)
async def test_a_failed_call_has_its_page(visitor, world, code, status):
    world.broken["Search.find"] = CallError(code, "internal detail", retry_after=7)
    page = await visitor.get("/search?city=Lisbon")
    assert page.status == status
    assert "internal detail" not in page.html
    assert page.headers.get("Retry-After") == ("7" if status in (429, 503) else None)


async def test_a_form_larger_than_any_of_ours_is_refused(visitor):
    page = await visitor.post("/sign-up", {**ADA, "name": "x" * 100_000})
    assert page.status == 413


async def test_styles_and_scripts_are_kept_by_browsers_until_they_change(visitor):
    address = re.search(r'href="(/static/site.css[^"]+)"', (await visitor.get("/")).html)[1]
    assert "immutable" in (await visitor.get(address)).headers["Cache-Control"]
    assert (await visitor.get("/static/site.css?v=old")).headers["Cache-Control"] == "no-cache"


async def test_pages_of_a_guest_are_stored_by_nobody(visitor):
    assert (await visitor.get("/")).headers["Cache-Control"] == "private, no-cache"
    await visitor.sign_up()
    assert (await visitor.get("/")).headers["Cache-Control"] == "no-store"


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    settings = WebSettings(secret_file=tmp_path / "deep" / "web.secret")
    first = settings.signing_secret()
    assert len(first) >= 48
    assert settings.signing_secret() == first
    assert stat.S_IMODE(settings.secret_file.stat().st_mode) == 0o600
    assert [path.name for path in settings.secret_file.parent.iterdir()] == ["web.secret"]


def test_a_configured_secret_is_used_and_nothing_is_written(tmp_path):
    settings = WebSettings(secret="given", secret_file=tmp_path / "web.secret")
    assert settings.signing_secret() == "given"
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_the_environment():
    read = WebSettings.read({"HOTELS_WEB_SECRET": "s", "HOTELS_WEB_DEMONSTRATION": "0"})
    assert (read.secret, read.demonstration, read.proxies) == ("s", False, 0)
    assert WebSettings.read({"HOTELS_WEB_PROXIES": "1"}).proxies == 1
    assert WebSettings.read({}).demonstration
