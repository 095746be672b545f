"""Prices and dates follow the visitor's language; machines read them as ISO; drawings are always the same."""

from xml.etree import ElementTree as ET

from hotels.web.pictures import hotel_picture, room_picture, town_picture


async def test_a_day_is_local_for_people_and_iso_for_machines(visitor, world):
    room_id = next(iter(world.catalogue.details))
    page = await visitor.get("/search?city=Lisbon", headers={"Accept-Language": "fr"})
    arrival = page.html.split('<time datetime="')[1][:10]
    found = await visitor.get(f"/rooms/{room_id}?arrival={arrival}", headers={"Accept-Language": "fr"})
    assert f'<time datetime="{arrival}" lang="fr">' in found.html


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
