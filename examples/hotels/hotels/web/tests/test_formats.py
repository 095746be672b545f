"""Prices and dates follow the visitor's language; machines read them as ISO; drawings are always the same."""

from xml.etree import ElementTree as ET

import pytest
from hotels.web.formats import known_locale
from hotels.web.pictures import hotel_picture, room_picture, town_picture


@pytest.mark.parametrize(
    ("language", "price"),
    [
        ("en-GB", "€64.00"),
        ("de-DE,de;q=0.9,en;q=0.5", "64,00\xa0€"),
        ("xx-nonsense,fr;q=0.8", "64,00\xa0€"),
        ("zz,*", "€64.00"),
        ("", "€64.00"),
        ("x" * 5000, "€64.00"),
    ],
)
async def test_a_price_is_written_as_the_visitor_reads_it(visitor, language, price):
    page = await visitor.get("/search?city=Lisbon", headers={"Accept-Language": language})
    assert page.status == 200
    assert f">{price}</bdi>" in page.html


async def test_a_day_is_local_for_people_and_iso_for_machines(visitor, world):
    room_id = next(iter(world.catalogue.details))
    page = await visitor.get("/search?city=Lisbon", headers={"Accept-Language": "fr"})
    arrival = page.html.split('<time datetime="')[1][:10]
    found = await visitor.get(f"/rooms/{room_id}?arrival={arrival}", headers={"Accept-Language": "fr"})
    assert f'<time datetime="{arrival}" lang="fr">' in found.html


@pytest.mark.parametrize("tag", ["../../etc/passwd", "en_US.UTF-8", "-", "é", "a-b-c-d"])
def test_a_strange_language_is_no_language(tag):
    assert known_locale(tag) is None


def test_a_drawing_is_always_the_same_and_well_formed():
    for at in range(60):
        for drawn in (
            hotel_picture(f"Hotel {at}", "Oslo"),
            room_picture(f"Hotel {at}", "Twin"),
            town_picture(f"T{at}"),
        ):
            assert ET.fromstring(drawn).tag == "svg"
    assert hotel_picture("Hôtel", "Lyon") == hotel_picture.__wrapped__("Hôtel", "Lyon")
    assert hotel_picture("Hôtel", "Lyon") != hotel_picture("Hotel", "Lyon")
