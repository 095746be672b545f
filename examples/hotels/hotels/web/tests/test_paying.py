"""Paying: once, whatever is pressed, declined, lost or forged."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from hotels.contracts.payments import CardDeclined

from meristem import CallError, Code
from meristem.errors import FieldViolation

GUEST = {"name": "Ada Lovelace", "email": "ada@example.org", "password": "correct horse"}
CARD = {"number": "4242 4242 4242 4242", "expiry": "9 / 2031", "cvc": "123"}


@pytest.fixture
def pay(world) -> str:
    arrival = (datetime.now(UTC) + timedelta(days=30)).date()
    return f"/rooms/{next(iter(world.catalogue.details))}/pay?arrival={arrival}&nights=2&guests=2"


async def test_somebody_new_books_is_signed_in_and_sees_the_booking(visitor, world, pay):
    page = await visitor.follow(await visitor.send(pay, **GUEST, **CARD))
    assert page.heading == "Your room is booked"
    assert "Ada Lovelace, Casa do Rio in Lisbon expects you" in page.text
    assert "card ending in 4242" in page.text
    assert "Sign out" in page.text
    assert len(world.desk.bookings) == 1


async def test_somebody_signed_in_books_in_their_own_name(visitor, world, pay):
    await visitor.sign_up()
    form = await visitor.get(pay)
    assert "Booking as Ada Lovelace" in form.text
    assert 'name="password"' not in form.html
    await visitor.follow(await visitor.send(pay, **CARD))
    context = next(context for name, context in world.calls if name == "Reservations.book")
    assert context.user.subject == str(world.people.accounts["ada@example.org"][0].user_id)
    assert context.user.name == "Ada Lovelace"


async def test_a_form_sent_twice_books_once(visitor, world, pay):
    form = await visitor.get(pay)
    sent = {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **GUEST, **CARD}
    first, second = await asyncio.gather(visitor.post(pay, sent), visitor.post(pay, sent))
    assert (first.status, second.status) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(world.desk.bookings) == 1


async def test_two_forms_have_two_keys(visitor, pay):
    assert (await visitor.get(pay)).hidden("key") != (await visitor.get(pay)).hidden("key")


async def test_a_declined_card_is_said_on_top_and_a_new_guest_goes_on_signed_in(visitor, world, pay):
    form = await visitor.get(pay)
    sent = {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **GUEST}
    page = await visitor.post(pay, {**sent, **CARD, "number": "4000000000000002"})
    assert page.status == 402
    assert "Your bank declined the card. Nothing was charged." in page.text
    assert re.search(r'role="alert" tabindex="-1" autofocus', page.html)
    assert page.hidden("key") != form.hidden("key")
    assert "Booking as Ada Lovelace (ada@example.org)" in page.text
    assert "Your account is open and you are signed in" in page.text
    assert 'name="password"' not in page.html
    again = {"form_token": page.hidden("form_token"), "key": page.hidden("key"), **CARD}
    booked = await visitor.follow(await visitor.post(pay, again))
    assert booked.heading == "Your room is booked"
    assert len(world.people.accounts) == 1


async def test_a_card_that_the_bank_objects_to_traps_nobody_either(visitor, world, pay):
    page = await visitor.send(pay, **GUEST, **{**CARD, "number": "4242424242424241"})
    assert "Booking as Ada Lovelace" in page.text
    assert 'name="password"' not in page.html


async def test_a_decline_with_an_unknown_reason_never_shows_the_code(visitor, world, pay):
    world.broken["Reservations.book"] = CardDeclined(reason="do_not_honor_57")
    page = await visitor.send(pay, **GUEST, **CARD)
    assert page.status == 402
    assert "do_not_honor" not in page.text


async def test_neither_card_nor_password_is_ever_written_back(visitor, pay):
    page = await visitor.send(pay, **GUEST, **{**CARD, "number": "4000000000000002"})
    assert "4000000000000002" not in page.html
    assert "correct horse" not in page.html
    assert re.search(r'name="cvc" type="text" value=""', page.html)


async def test_each_wrong_field_is_explained_and_nothing_is_booked(visitor, world, pay):
    page = await visitor.send(pay, name="", email="ada", password="short", number="12", expiry="13/99", cvc="1")
    assert page.status == 422
    for name in ("name", "email", "password", "number", "expiry", "cvc"):
        assert f'id="{name}-error"' in page.html
        assert f'href="#{name}"' in page.html
    assert not [name for name, _ in world.calls if name == "Reservations.book"]


async def test_the_banks_objection_to_a_field_stands_beside_it(visitor, pay):
    page = await visitor.send(pay, **GUEST, **{**CARD, "number": "4242424242424241"})
    assert page.status == 422
    assert re.search(r'id="number-error">This is not a valid card number', page.html)


async def test_a_refused_request_names_its_fields(visitor, world, pay):
    violations = (FieldViolation("request.card.cvc", "Three digits, please."),)
    world.broken["Reservations.book"] = CallError(Code.INVALID_ARGUMENT, "no", violations=violations)
    page = await visitor.send(pay, **GUEST, **CARD)
    assert page.status == 422
    assert re.search(r'id="cvc-error">Three digits, please\.', page.html)


async def test_the_password_of_an_existing_account_must_be_right(visitor, world, pay):
    await visitor.sign_up()
    await visitor.send("/bookings")
    visitor.client.cookie_jar.clear()
    page = await visitor.send(pay, **{**GUEST, "password": "wrong horse"}, **CARD)
    assert page.status == 422
    assert "this is not its password" in page.text


async def test_a_room_that_has_just_gone_leads_to_others(visitor, world, pay):
    world.desk.taken = True
    page = await visitor.send(pay, **GUEST, **CARD)
    assert page.status == 409
    assert page.heading == "This room has just gone"
    assert "See what else is free in Lisbon" in page.text


async def test_a_form_sent_again_with_another_card_books_under_another_key(visitor, world, pay):
    await visitor.sign_up()
    form = await visitor.get(pay)
    sent = {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **CARD}
    world.used = {form.hidden("key")}
    page = await visitor.follow(await visitor.post(pay, sent))
    assert page.heading == "Your room is booked"
    keys = [context.key for name, context in world.calls if name == "Reservations.book"]
    assert len(set(keys)) == len(keys) == 2


async def test_back_and_a_click_show_the_booking_that_there_is(visitor, world, pay):
    await visitor.sign_up()
    form = await visitor.get(pay)
    sent = {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **CARD}
    await visitor.post(pay, sent)
    page = await visitor.get(pay)
    assert page.heading == "You have booked this room already"
    assert "You paid once, and nothing was charged again." in page.text
    again = await visitor.post(pay, sent)
    assert (await visitor.follow(again)).heading == "Your room is booked"
    for key in ("1" * 32, "2" * 32):
        page = await visitor.follow(await visitor.post(pay, {**sent, "key": key, "number": "5555555555554444"}))
        assert page.heading == "You have booked this room already"
    assert len(world.desk.bookings) == 1


async def test_two_tabs_of_somebody_new_book_once(visitor, world, pay):
    tabs = [await visitor.get(pay), await visitor.get(pay)]
    sent = [{"form_token": each.hidden("form_token"), "key": each.hidden("key"), **GUEST, **CARD} for each in tabs]
    await visitor.post(pay, sent[0])
    page = await visitor.follow(await visitor.post(pay, sent[1]))
    assert page.heading == "You have booked this room already"
    assert "You signed in or out after that page was opened" in page.text
    assert len(world.desk.bookings) == 1


async def test_two_forms_at_once_lead_to_the_one_booking(visitor, world, app, pay):
    await visitor.sign_up()
    tabs = [await visitor.get(pay), await visitor.get(pay)]
    sent = [{"form_token": each.hidden("form_token"), "key": each.hidden("key"), **CARD} for each in tabs]
    answers = await asyncio.gather(*(visitor.post(pay, each) for each in sent))
    pages = {(await visitor.follow(each)).heading for each in answers}
    assert pages == {"Your room is booked", "You have booked this room already"}
    assert len(world.desk.bookings) == 1


async def test_a_second_room_of_the_kind_is_booked_by_saying_so(visitor, world, pay):
    await visitor.sign_up()
    await visitor.send(pay, **CARD)
    address = re.search(r'href="([^"]+another=1[^"]*)"', (await visitor.get(pay)).html)[1].replace("&amp;", "&")
    page = await visitor.follow(await visitor.send(address, **CARD))
    assert page.heading == "Your room is booked"
    assert "another=2" in (await visitor.get(address)).html
    assert len(world.desk.bookings) == 2


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN])
async def test_when_the_outcome_is_unknown_the_key_stays(visitor, world, pay, code):
    form = await visitor.get(pay)
    world.broken["Reservations.book"] = CallError(code, "silence")
    sent = {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **GUEST, **CARD}
    page = await visitor.post(pay, sent)
    assert page.status == 503
    assert "you will not pay or book twice" in page.text
    assert page.hidden("key") == form.hidden("key")


async def test_when_the_reservations_cannot_be_reached_the_guest_reads_that_nothing_was_booked(visitor, world, pay):
    form = await visitor.get(pay)
    world.broken["Reservations.book"] = CallError(Code.UNAVAILABLE, "open breaker", may_have_happened=False)
    page = await visitor.post(
        pay, {"form_token": form.hidden("form_token"), "key": form.hidden("key"), **GUEST, **CARD}
    )
    assert page.status == 503
    assert "nothing was booked or charged. Write your card again" in page.text
    assert page.hidden("key") == form.hidden("key")


async def test_when_the_outcome_is_unknown_whose_booking_it_is_stays(visitor, world, pay):
    await visitor.sign_up()
    visitor.client.cookie_jar.clear()
    world.broken["Reservations.book"] = CallError(Code.UNAVAILABLE, "silence")
    page = await visitor.send(pay, **GUEST, **CARD)
    assert page.status == 503
    assert "Booking as Ada Lovelace" in page.text


async def test_an_account_that_cannot_be_signed_in_just_now_does_not_lose_the_booking(visitor, world, pay):
    world.broken["Users.sign_in"] = CallError(Code.UNAVAILABLE, "gone")
    page = await visitor.send(pay, **GUEST, **CARD)
    assert page.status == 303
    assert page.headers["Location"].startswith("/sign-in?next=/bookings/")


async def test_a_forged_key_is_refused(visitor, pay):
    form = await visitor.get(pay)
    page = await visitor.post(pay, {"form_token": form.hidden("form_token"), "key": "mine", **GUEST, **CARD})
    assert page.status == 400


@pytest.mark.parametrize("typed", ["09/31", "0931", "9/2031", " 09 / 31 ", "09-31"])
async def test_an_expiry_may_be_typed_as_people_type_it(visitor, world, pay, typed):
    assert (await visitor.send(pay, **GUEST, **{**CARD, "expiry": typed})).status == 303
