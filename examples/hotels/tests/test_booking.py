"""Booking over REST: everything that belongs to it happens, once, or nothing is left of it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import pypdf
import pytest
from hotels.contracts.payments import EntryKind
from sites import ARRIVAL, CARD, DECLINED, Site, eventually, guest, milestones

pytestmark = pytest.mark.xdist_group("booking")  # they share a site

ADA = guest("Ada Lovelace")


def test_a_booking_has_a_receipt_two_mails_and_a_tracking_record_and_can_be_cancelled(site: Site, untouched):
    offer, ada = untouched(), guest("Ada Lovelace")
    booked = site.book(offer["room_id"], "one", guest=ada)
    assert booked.status_code == 201, booked.text
    booking_id, headers = booked.json()["booking_id"], site.signed_in(ada)

    told = {"receipt_issued", "guest_told", "hotel_told"}
    booking = eventually(lambda: site.booking(booking_id, headers), lambda each: told <= set(milestones(each)))
    assert milestones(booking)[:4] == ["requested", "held", "paid", "confirmed"]

    receipt = site.http.get(f"/api/bookings/{booking_id}/receipt.pdf", headers=headers)
    assert receipt.headers["content-type"] == "application/pdf"
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(receipt.content)).pages)
    assert ada["name"] in text
    assert booking["hotel"] in text

    (recap,) = site.mails(ada["email"])
    (reservation,) = site.mails(booking["hotel_email"])
    assert recap["attachment_count"] == 1
    assert "reservation" in reservation["subject"].lower()

    (charge,) = site.charges(booking_id)
    (entry,) = site.ledger(booking_id)
    assert Decimal(charge["net"]) == Decimal(booking["price"]["amount"]) == entry.amount.amount

    assert site.cancel(booking_id, "back", headers).json()["status"] == "cancelled"
    assert [each["net"] for each in site.charges(booking_id)] == ["0.00"]
    assert [each.kind for each in site.ledger(booking_id)] == [EntryKind.CHARGE, EntryKind.REFUND]
    eventually(lambda: site.mails(ada["email"]), lambda mails: len(mails) == 2)
    eventually(lambda: site.mails(booking["hotel_email"]), lambda mails: len(mails) == 2)
    eventually(lambda: site.free(offer["room_id"]), lambda free: free == offer["free"])


def test_the_same_request_sent_twenty_times_with_one_key_books_and_charges_once(site: Site, untouched):
    room, eager = untouched()["room_id"], guest("Eager Beaver")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: site.book(room, "again", guest=eager), range(20)))
    assert {each.status_code for each in answers} == {201}, [each.text for each in answers if each.status_code != 201]
    assert len({each.text for each in answers}) == 1
    (booking,) = site.bookings(site.signed_in(eager))
    assert len(site.charges(booking["booking_id"])) == 1


def test_a_key_used_for_another_request_is_refused(site: Site, untouched):
    forgetful = guest("Forgetful Guest")
    assert site.book(untouched()["room_id"], "key", guest=forgetful).status_code == 201
    other = site.book(untouched()["room_id"], "key", guest=forgetful)
    assert other.status_code == 409
    assert "key" in other.json()["detail"]
    assert len(site.bookings(site.signed_in(forgetful))) == 1


def test_a_declined_card_is_402_and_leaves_nothing_behind(site: Site, untouched):
    offer, poor = untouched(), guest("Poor Guest")
    declined = site.book(offer["room_id"], "poor", card=DECLINED, guest=poor)
    assert declined.status_code == 402
    assert declined.headers["content-type"] == "application/problem+json"
    assert declined.json()["fault"] == "CardDeclined"
    (booking,) = site.bookings(site.signed_in(poor))
    assert booking["status"] == "failed"
    assert "released" in milestones(booking)
    assert site.charges(booking["booking_id"]) == []
    assert site.ledger(booking["booking_id"]) == []
    eventually(lambda: site.free(offer["room_id"]), lambda free: free == offer["free"])


def test_fifty_guests_want_the_last_room_and_exactly_one_gets_it(site: Site, untouched):
    offer, early = untouched(), guest("Early Bird")
    for taken in range(offer["free"] - 1):
        assert site.book(offer["room_id"], f"before-{taken}", guest=early).status_code == 201
    before = sum(Decimal(each["net"]) for each in site.statement())
    guests = [guest(f"Guest {number}") for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda who: site.book(offer["room_id"], who["email"], guest=who), guests))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [201] + [409] * 49, [each.text for each in answers if each.status_code not in (201, 409)]
    assert {each.json()["fault"] for each in answers if each.status_code == 409} == {"RoomTaken"}
    (winner,) = [each.json() for each in answers if each.status_code == 201]
    kept = sum(Decimal(each["net"]) for each in site.statement())
    assert kept - before == Decimal(winner["price"]["amount"])


YESTERDAY = (date.today() - timedelta(days=1)).isoformat()  # noqa: DTZ011


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nights": 0}, "nights"),
        ({"nights": "many"}, "nights"),
        ({"guests": 9}, "guests"),
        ({"arrival": "soon"}, "arrival"),
        ({"arrival": YESTERDAY}, "arrival"),
        ({"room_id": "penthouse"}, "room_id"),
        ({"card": {**CARD, "number": "4242424242424241"}}, "number"),
        ({"card": {**CARD, "expiry": "13/40"}}, "card.expiry"),
        ({"card": {**CARD, "expiry": "01/20"}}, "expiry"),
        ({"card": None}, "card"),
        ({"guest": {**ADA, "email": "nobody"}}, "guest.email"),
        ({"guest": {**ADA, "email": "adá@example.com"}}, "guest.email"),
        ({"guest": {**ADA, "email": "ada@gue_st.example.com"}}, "email"),
        ({"guest": {**ADA, "password": "short"}}, "guest.password"),
    ],
)
def test_bad_input_is_4xx_and_names_the_field(site: Site, change, field):
    room = site.own_offers(guests=1)[-1]["room_id"]
    refused = site.book(change.get("room_id", room), f"bad-{field}-{change!a}", **({"guest": ADA} | change))
    assert 400 <= refused.status_code < 500, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    named = [each["field"] for each in refused.json().get("errors", [])] + [refused.json().get("field")]
    assert any(each and each.endswith(field) for each in named), refused.text


def test_an_unknown_room_is_404_and_no_user_is_401(site: Site):
    assert site.book("00000000-0000-0000-0000-000000000000", "lost", guest=ADA).status_code == 404
    assert site.http.get("/api/bookings").status_code == 401
    assert site.http.get("/api/bookings", headers={"Authorization": "Bearer forged"}).status_code == 401
    anonymous = site.book(site.own_offers(guests=1)[-1]["room_id"], "nobody")
    assert anonymous.status_code == 401


def test_a_user_is_the_same_by_rest_and_by_rpc(site: Site, untouched):
    owner = guest("Two Ways")
    booking = site.book(untouched()["room_id"], "two ways", guest=owner).json()
    headers = site.signed_in(owner)

    by_rest = site.http.get("/api/bookings", headers=headers).json()
    by_rpc = site.http.post("/hotels.reservations.v1.Reservations/Mine", json={}, headers=headers).json()["result"]

    found = [[each["booking_id"] for each in bookings] for bookings in (by_rest, by_rpc)]
    assert found == [[booking["booking_id"]]] * 2


def test_a_foreign_booking_is_not_found(site: Site, untouched):
    booking = site.book(untouched()["room_id"], "mine", guest=guest("Owner")).json()
    stranger = guest("Eve")
    assert site.http.post("/api/users", json=stranger).status_code == 201
    answer = site.http.get(f"/api/bookings/{booking['booking_id']}", headers=site.signed_in(stranger))
    assert answer.status_code == 404


def test_a_partner_that_hangs_or_fails_neither_delays_nor_breaks_a_search(site: Site):
    eventually(lambda: site.search()["partner"], lambda partner: partner == "answered")
    try:
        site.http.put("/partner/behaviour", json={"delay_ms": 5000, "fail": False})
        slow = site.http.get("/api/hotels", params={"city": "Porto", "arrival": ARRIVAL.isoformat()})
        assert slow.json()["partner"] == "slow"
        assert any(each["source"] == "own" for each in slow.json()["offers"])
        site.http.put("/partner/behaviour", json={"delay_ms": 0, "fail": True})
        eventually(lambda: site.search()["partner"], lambda partner: partner == "down")
    finally:
        site.http.put("/partner/behaviour", json={"delay_ms": 0, "fail": False})


def test_a_bank_that_times_out_is_asked_again_and_charges_once(site: Site, untouched):
    slow = {**CARD, "number": "4000000000000119"}
    booked = site.book(untouched()["room_id"], "patience", card=slow, guest=guest("Patient Guest"))
    assert booked.status_code == 201, booked.text
    assert len(site.charges(booked.json()["booking_id"])) == 1


def test_a_bank_that_is_briefly_away_is_asked_again(site: Site, untouched):
    away = {**CARD, "number": "4000000000000341"}
    booked = site.book(untouched()["room_id"], "away", card=away, guest=guest("Lucky Guest"))
    assert booked.status_code == 201, booked.text
    assert len(site.charges(booked.json()["booking_id"])) == 1
