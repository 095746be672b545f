"""The partner answers the same question in the same way, and misbehaves when told to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from thirdparties.partner.app import create_app
from thirdparties.partner.offers import Question, find_offers, known_cities

STAY = {"city": "Porto", "arrival": "2027-05-04", "nights": "2", "guests": "2"}
PINNED = [("The Ribeira Rooms", "Twin room", "100.90"), ("The Bonfim Rooms", "Superior double", "103.90")]


@pytest.fixture
def partner() -> FlaskClient:
    return create_app().test_client()


def test_every_known_city_has_three_to_eight_offers_cheapest_first() -> None:
    for city in known_cities():
        for guests in (1, 2, 4, 8):
            offers = find_offers(Question(city, date(2027, 7, 1), 3, guests))
            prices = [offer.price_per_night for offer in offers]

            assert 3 <= len(offers) <= 8
            assert prices == sorted(prices)
            assert all(Decimal(15) < price < Decimal(2000) for price in prices)
            assert len({offer.id for offer in offers}) == len(offers)


def test_the_answer_depends_on_nothing_but_the_question(partner: FlaskClient) -> None:
    first = partner.get("/offers", query_string=STAY).get_json()["offers"]

    assert first == create_app().test_client().get("/offers", query_string=STAY).get_json()["offers"]
    assert first != partner.get("/offers", query_string=STAY | {"nights": "3"}).get_json()["offers"]
    # Pinned, so that a change of machine or Python version cannot change it unseen.
    assert [(offer["hotel"], offer["room"], offer["price_per_night"]) for offer in first[:2]] == PINNED


def test_a_city_is_found_without_its_accents_and_in_any_case() -> None:
    by_name = {name: find_offers(Question(name, date(2027, 5, 4), 2, 2)) for name in ("Reykjavík", "reykjavik ")}

    plain, accented = by_name["reykjavik "], by_name["Reykjavík"]
    assert [offer.hotel for offer in plain] == [offer.hotel for offer in accented]
    assert find_offers(Question("krakow", date(2027, 5, 4), 2, 2))


def test_an_unknown_city_has_no_offers(partner: FlaskClient) -> None:
    assert partner.get("/offers", query_string=STAY | {"city": "Atlantis"}).get_json() == {"offers": []}


def test_the_link_of_an_offer_leads_to_its_page(partner: FlaskClient) -> None:
    offer = partner.get("/offers", query_string=STAY).get_json()["offers"][0]

    page = partner.get(offer["url"])

    assert page.status_code == 200
    assert offer["hotel"] in page.text.replace("&#39;", "'")
    assert offer["price_per_night"] in page.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"city": ""}, "city"),
        ({"arrival": "4 May"}, "arrival"),
        ({"nights": "0"}, "nights"),
        ({"nights": "²"}, "nights"),
        ({"guests": "9"}, "guests"),
        ({"guests": "two"}, "guests"),
    ],
)
def test_a_bad_question_is_a_problem_that_names_the_field(
    partner: FlaskClient, change: dict[str, str], field: str
) -> None:
    answer = partner.get("/offers", query_string=STAY | change)

    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert answer.content_type == "application/problem+json"


def test_the_last_day_of_the_calendar_is_a_day_like_another(partner: FlaskClient) -> None:
    assert partner.get("/offers", query_string=STAY | {"arrival": "9999-12-31"}).status_code == 200


def test_the_partner_fails_when_told_to_and_recovers(partner: FlaskClient) -> None:
    partner.put("/behaviour", json={"fail": True})
    failed = partner.get("/offers", query_string=STAY)
    partner.put("/behaviour", json={})

    assert failed.status_code == 503
    assert partner.get("/health").status_code == 200
    assert partner.get("/offers", query_string=STAY).status_code == 200


def test_the_partner_is_slow_when_told_to(partner: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("thirdparties.partner.app.time.sleep", waits.append)

    partner.put("/behaviour", json={"delay_ms": 700, "fail": False})
    partner.get("/offers", query_string=STAY)

    assert waits == [0.7]
    assert partner.get("/behaviour").get_json() == {"delay_ms": 700, "fail": False}


@pytest.mark.parametrize("body", [[], {"delay_ms": -1}, {"delay_ms": True}, {"fail": "yes"}, {"colour": "red"}])
def test_a_behaviour_that_makes_no_sense_is_refused(partner: FlaskClient, body: object) -> None:
    assert partner.put("/behaviour", json=body).status_code == 400
    assert partner.put("/behaviour", data="{", content_type="application/json").status_code == 400


def test_an_unknown_page_is_a_problem_too(partner: FlaskClient) -> None:
    answer = partner.get("/nothing")

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
