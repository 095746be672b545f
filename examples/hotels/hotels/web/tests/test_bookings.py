"""A guest's bookings: seen by their guest alone, followed, receipted and cancelled."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hotels.contracts.reservations import Milestone, NotCancellable, Status, Track
from hotels.web import tracking

from meristem import CallError, Code

CARD = {"number": "4242424242424242", "expiry": "09/31", "cvc": "123"}


@pytest.fixture
async def booked(visitor, world) -> str:
    """The address of a booking."""
    await visitor.sign_up()
    arrival = (datetime.now(UTC) + timedelta(days=30)).date()
    page = await visitor.send(f"/rooms/{next(iter(world.catalogue.details))}/pay?arrival={arrival}", **CARD)
    return page.headers["Location"].removesuffix("/confirmed")


def change(world, **changes) -> None:
    booking_id, (owner, booking) = next(iter(world.desk.bookings.items()))
    world.desk.bookings[booking_id] = (owner, msgspec.structs.replace(booking, **changes))


async def test_the_list_shows_what_was_booked(visitor, booked):
    page = await visitor.get("/bookings")
    assert page.heading == "My bookings"
    assert "Casa do Rio" in page.text
    assert "Confirmed" in page.text


async def test_an_empty_list_leads_to_the_search(visitor):
    await visitor.sign_up()
    assert "You have not booked anything yet" in (await visitor.get("/bookings")).text


async def test_the_timeline_grows_until_everything_is_done(visitor, booked):
    first = msgspec.json.decode((await visitor.get(f"{booked}/tracking.json")).body)
    assert not first["settled"]
    assert "Preparing your receipt" in first["html"]
    for _ in range(2):
        await visitor.get(f"{booked}/tracking.json")
    last = msgspec.json.decode((await visitor.get(f"{booked}/tracking.json")).body)
    assert last["settled"]
    assert "Download the receipt" in last["html"]
    assert last["text"].startswith("Everything is done")


async def test_without_scripts_a_link_shows_the_timeline_anew(visitor, booked):
    assert f'href="{booked}" data-refresh' in (await visitor.get(booked)).html


async def test_a_receipt_is_a_pdf_to_keep_and_is_stored_by_nobody_else(visitor, booked):
    pending = await visitor.get(f"{booked}/receipt.pdf")
    assert pending.status == 404
    assert pending.heading == "Your receipt is being prepared"
    page = await visitor.get(f"{booked}/receipt.pdf")
    assert page.status == 200
    assert page.body.startswith(b"%PDF")
    assert page.headers["Content-Type"] == "application/pdf"
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert page.headers["Cache-Control"] == "no-store"


async def test_a_booking_of_somebody_else_is_not_found(visitor, booked):
    visitor.client.cookie_jar.clear()
    await visitor.sign_up("eve@example.org")
    for path in ("", "/confirmed", "/tracking.json", "/receipt.pdf", "/cancel"):
        assert (await visitor.get(booked + path)).status == 404


async def test_cancelling_asks_first_and_tells_of_the_refund(visitor, world, booked):
    question = await visitor.get(f"{booked}/cancel")
    assert question.heading == "Cancel this booking?"
    assert "€64.00 goes back to your card ending in 4242" in question.text
    page = await visitor.follow(await visitor.send(f"{booked}/cancel"))
    assert "Your booking was cancelled. €64.00 went back to your card ending in 4242" in page.text
    assert "Your money was given back" in page.text
    assert "Cancel this booking" not in page.text
    assert (await visitor.get(f"{booked}/cancel")).status == 303


async def test_after_cancelling_the_timeline_ends_when_both_are_told(visitor, booked):
    await visitor.send(f"{booked}/cancel")
    first = msgspec.json.decode((await visitor.get(f"{booked}/tracking.json")).body)
    assert (first["settled"], first["text"]) == (False, "Confirming the cancellation by e-mail …")
    for _ in range(2):
        await visitor.get(booked)
    last = await visitor.get(booked)
    assert "data-settled" in last.html
    assert "We confirmed the cancellation by e-mail" in last.text
    assert "The hotel knows that you are not coming" in last.text
    assert "cancellation_hotel" not in last.text


async def test_a_stay_that_has_begun_cannot_be_cancelled(visitor, world, booked):
    world.broken["Reservations.cancel"] = NotCancellable(booking_id=uuid4())
    page = await visitor.follow(await visitor.send(f"{booked}/cancel"))
    assert "cannot be cancelled any more" in page.text


async def test_cancelling_needs_a_key_of_the_form(visitor, booked):
    token = (await visitor.get(f"{booked}/cancel")).hidden("form_token")
    assert (await visitor.post(f"{booked}/cancel", {"form_token": token, "key": ""})).status == 400


async def test_a_failed_booking_says_so_and_why(visitor, world, booked):
    change(world, status=Status.FAILED, reason="The room was flooded.")
    page = await visitor.get(booked)
    assert "This booking did not go through. The room was flooded. The money goes back to your card." in page.text
    change(world, tracking=[])
    assert "You paid nothing." in (await visitor.get(booked)).text
    assert (await visitor.get(f"{booked}/confirmed")).heading == "Your booking"


SOME = "23f51516-1d09-4d33-ad8b-17f3652296d2"  # the same in every test process, which compare what they collect


@pytest.mark.parametrize("path", ["/bookings", f"/bookings/{SOME}", f"/bookings/{SOME}/receipt.pdf"])
async def test_a_stranger_signs_in_first_and_comes_back(visitor, path):
    page = await visitor.get(path)
    assert page.status == 303
    assert page.headers["Location"] == f"/sign-in?next={path}"


async def test_a_session_that_the_service_forgot_leads_to_the_sign_in(visitor, world, booked):
    world.people.sessions.clear()
    assert (await visitor.get(booked)).status == 303


async def test_when_nobody_can_tell_who_is_signed_in_only_private_pages_suffer(visitor, world, booked):
    world.broken["Users.identify"] = CallError(Code.UNAVAILABLE, "gone")
    assert (await visitor.get("/")).status == 200
    page = await visitor.get("/bookings")
    assert page.status == 503
    assert page.headers["Retry-After"]
    del world.broken["Users.identify"]
    assert (await visitor.get("/bookings")).status == 200


def test_every_milestone_and_status_has_words():
    assert set(tracking.HAPPENED) == set(Milestone)
    assert set(tracking.STATES) == set(Status)


async def test_a_note_of_the_record_is_text(visitor, world, booked):
    note = Track(milestone=Milestone.RECEIPT_ISSUED, at=datetime.now(UTC), note="<i>R-1</i>")
    change(world, tracking=[note])
    assert "&lt;i&gt;R-1&lt;/i&gt;" in (await visitor.get(booked)).html
