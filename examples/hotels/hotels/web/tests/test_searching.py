"""Finding a room: what a visitor sees, also when parts are slow, gone or hostile."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hotels.contracts.search import Offer, PartnerState, Source
from hotels.web.pages.searching import partner_link
from hotels.web.tests.fakes import World, euros

from meristem import CallError, Code
from meristem.errors import FieldViolation

SEARCH = "/search?city=Lisbon&arrival={}&nights=2&guests=2"


@pytest.fixture
def search() -> str:
    return SEARCH.format((datetime.now(UTC) + timedelta(days=30)).date())


def partner_offer(**changes: object) -> Offer:
    offer = Offer(
        source=Source.PARTNER, hotel="Harbour & Sons", stars=3, city="Lisbon", country="Portugal", room="Double",
        capacity=2, nightly=euros(10), total=euros(20), link="https://partner.example/1",
    )  # fmt: skip
    return msgspec.structs.replace(offer, **changes)


async def test_the_search_form_proposes_one_night_for_two_in_two_weeks(visitor):
    page = await visitor.get("/")
    assert page.status == 200
    assert f'value="{(datetime.now(UTC) + timedelta(days=14)).date()}"' in page.html
    assert re.search(r'name="nights"[^>]*value="1"', page.html)
    assert re.search(r'name="guests"[^>]*value="2"', page.html)
    assert "Lisbon" in page.text


async def test_the_first_page_needs_no_service(visitor, world):
    world.broken["Search.cities"] = CallError(Code.UNAVAILABLE, "gone")
    page = await visitor.get("/")
    assert page.status == 200
    assert "Cities with many rooms" not in page.text


async def test_results_come_cheapest_first_and_mark_the_partners(visitor, search):
    page = await visitor.get(search)
    assert page.status == 200
    assert page.heading == "Rooms in Lisbon"
    names = re.findall(r"<h2><a [^>]+>([^<]+)</a>", page.html)
    assert names[:3] == ["Casa do Rio", "Harbour &amp; Sons", "Hotel da Luz"]
    assert page.text.count("Partner offer") == 1
    assert "€64.00" in page.text
    assert "€128.00 for 2 nights" in page.text
    assert "The last one" in page.text
    assert "Only 3 left" in page.text
    assert "Only 4 left" not in page.text


async def test_a_price_limit_reaches_the_search_also_with_a_comma(visitor, search):
    page = await visitor.get(f"{search}&max_price=91,50")
    assert "Hotel da Luz" in page.text
    assert "The Lantern Rooms" not in page.text


@pytest.mark.parametrize(
    ("state", "words"), [(PartnerState.SLOW, "slow to answer"), (PartnerState.DOWN, "cannot be reached")]
)
async def test_a_partner_that_does_not_answer_is_said_calmly(visitor, world, search, state, words):
    world.catalogue.partner = state
    page = await visitor.get(search)
    assert page.status == 200
    assert words in page.text
    assert "Casa do Rio" in page.text


async def test_an_unknown_city_leads_to_similar_ones(visitor, search):
    page = await visitor.get(search.replace("Lisbon", "Lisbonne"))
    assert "No free room was found" in page.text
    assert "Perhaps you meant Lisbon" in page.text


async def test_nothing_within_the_price_limit_suggests_to_drop_it(visitor, search):
    page = await visitor.get(f"{search}&max_price=1")
    assert "Search without a price limit" in page.text
    assert "Try other days" in page.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("city=", "Which city do you want to go to?"),
        ("city=Lisbon&arrival=yesterday", "year-month-day"),
        ("city=Lisbon&arrival=2001-01-01", "from today on"),
        ("city=Lisbon&arrival=9999-12-31", "within two years"),
        ("city=Lisbon&nights=0", "1 to 30 nights"),
        ("city=Lisbon&nights=many", "1 to 30 nights"),
        ("city=Lisbon&guests=99", "1 to 8 guests"),
        ("city=Lisbon&max_price=cheap", "Write a price as a number"),
        ("city=Lisbon&max_price=NaN", "Write a price as a number"),
        ("city=Lisbon&max_price=-5", "Write a price as a number"),
        ("city=" + "x" * 81, "Which city do you want to go to?"),
    ],
)
async def test_a_wrong_field_is_explained_beside_itself(visitor, query, words):
    page = await visitor.get(f"/search?{query}")
    assert page.status == 400
    assert words in page.text
    assert 'aria-invalid="true"' in page.html
    assert 'role="alert"' in page.html


async def test_a_violation_that_only_the_service_knows_lands_beside_its_field(visitor, world, search):
    violation = FieldViolation("request.city", "This city is closed for repairs.")
    world.broken["Search.find"] = CallError(Code.INVALID_ARGUMENT, "no", violations=(violation,))
    page = await visitor.get(search)
    assert page.status == 400
    assert re.search(r'id="city-error">This city is closed for repairs\.<', page.html)


async def test_hostile_names_are_text(visitor, world, search):
    world.catalogue.extra = [partner_offer(hotel='<script>alert(1)</script>" onload="x', city="<b>Lisbon")]
    page = await visitor.get(search)
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;alert(1)" in page.html
    echoed = await visitor.get("/search?city=%3Cimg%20src=x%20onerror=alert(1)%3E")
    assert "<img" not in echoed.html


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("https://partner.example/1", True),
        ("/partner/offers/1", True),
        ("javascript:alert(1)", False),
        ("//evil.example", False),
        ("data:text/html,x", False),
        (None, False),
    ],
)
def test_only_web_addresses_of_a_partner_become_links(link, kept):
    assert (partner_link(partner_offer(link=link)) is not None) is kept


async def test_many_rooms_are_shown_on_request(visitor, world, search):
    world.catalogue.extra = [partner_offer(hotel=f"House {at}") for at in range(40)]
    page = await visitor.get(search)
    assert page.html.count('class="offer"') == 30
    assert (await visitor.get(f"{search}&all=1")).html.count('class="offer"') == 47


async def test_city_proposals_are_json_and_never_fail(visitor, world):
    page = await visitor.get("/cities.json?prefix=li")
    assert [city["name"] for city in msgspec.json.decode(page.body)] == ["Lisbon", "Lille"]
    world.broken["Search.cities"] = CallError(Code.DEADLINE_EXCEEDED, "slow")
    assert (await visitor.get("/cities.json?prefix=li")).body.strip() == b"[]"


async def test_a_room_shows_its_price_and_how_to_book_it(visitor, world: World, search):
    results = await visitor.get(search)
    address = re.search(r'href="(/rooms/[^"]+)"', results.html)[1].replace("&amp;", "&")
    page = await visitor.get(address)
    assert page.heading == "Casa do Rio"
    assert "€64.00 × 2 nights" in page.text  # noqa: RUF001
    assert "Total €128.00" in page.text
    assert "Bicycle rental" in page.text
    assert "Book this room" in page.text


async def test_a_room_too_small_or_a_wrong_stay_cannot_be_booked(visitor, world):
    room_id = next(iter(world.catalogue.details))
    crowded = await visitor.get(f"/rooms/{room_id}?guests=8")
    assert "Find a larger room" in crowded.text
    assert "Book this room" not in crowded.text
    wrong = await visitor.get(f"/rooms/{room_id}?nights=400")
    assert wrong.status == 400
    assert "1 to 30 nights" in wrong.text
    assert (await visitor.get(f"/rooms/{room_id}/pay?guests=8")).status == 303


async def test_an_unknown_room_is_not_found(visitor):
    page = await visitor.get(f"/rooms/{uuid4()}")
    assert page.status == 404
    assert "not on offer any more" in page.text


async def test_the_first_page_waits_but_a_moment_for_what_it_can_do_without(visitor, world):
    await visitor.sign_up()
    await visitor.get("/")
    waits = {name: context.remaining() for name, context in world.calls if name in ("Users.identify", "Search.cities")}
    assert set(waits) == {"Users.identify", "Search.cities"}
    assert all(each is not None and each <= 1.0 for each in waits.values())


async def test_a_page_for_guests_asks_once_more_who_is_there(visitor, world):
    await visitor.sign_up()
    world.late = {"Users.identify"}
    assert (await visitor.get("/")).status == 200
    assert (await visitor.get("/bookings")).heading == "My bookings"
