"""Paying for a room: the form that may be sent twice and still books once."""

import re
from uuid import UUID

from quart import Blueprint, abort, current_app, g, redirect, render_template, request, url_for
from quart.wrappers import Response

from hotels.contracts.payments import Card, CardDeclined, CardInvalid
from hotels.contracts.reservations import Booking, BookingRequest, Reservations, Status
from hotels.contracts.rooms import RoomDetails, Rooms, RoomTaken
from hotels.contracts.users import Credentials, NewUser, Users, WrongCredentials
from hotels.web.forms import Form, StayWish, as_typed, fresh_key, read_stay
from hotels.web.guest import acting, welcome
from hotels.web.pages.account import EMAIL, NAME, NEW_PASSWORD
from meristem import CallError, Code, Fault

blueprint = Blueprint("paying", __name__)

KEY = re.compile(r"[0-9a-f]{32}")
GUEST = {"name": NAME, "email": EMAIL, "password": NEW_PASSWORD}
CARD = {
    "number": "Write the card number: 12 to 19 digits.",
    "expiry": "Write the expiry as month and year, for example 09/29.",
    "cvc": "Write the security code: the 3 or 4 digits on the card.",
}
DECLINES = {
    "card_declined": "Your bank declined the card.",
    "insufficient_funds": "There is not enough money on the card.",
    "expired_card": "The card has expired.",
}
NOTHING_CHARGED = "Nothing was charged. Try another card."
USED = "This form was sent before with other details. Look at your bookings first; sending it now books again."
AGAIN = "Booking takes longer than usual. Send the form again as it is: you will not pay or book twice."


@blueprint.get("/rooms/<uuid:room_id>/pay")
async def form(room_id: UUID) -> str:
    """The payment form, with the key under which it books once."""
    details, stay = await _wanted(room_id)
    return await _page(details, stay, Form({"key": fresh_key()}))


@blueprint.post("/rooms/<uuid:room_id>/pay")
async def pay(room_id: UUID) -> Response | tuple[str, int]:
    """Book and pay; whatever goes wrong is said on the form, which then can be sent again."""
    details, stay = await _wanted(room_id)
    filled = Form(await request.form)
    if not KEY.fullmatch(filled.shown("key")):
        abort(400)
    card = filled.build(Card, CARD, number=_digits, expiry=_expiry)
    guest = None if g.user is not None else filled.build(NewUser, GUEST, password=as_typed)
    if filled.errors or card is None:
        return await _page(details, stay, filled), 422
    wish = BookingRequest(
        room_id=room_id, arrival=stay.arrival, nights=stay.nights, guests=stay.guests, card=card, guest=guest
    )
    try:
        with acting(filled.shown("key")):
            booking = await Reservations.client().book(wish)
    except RoomTaken:
        return await render_template("taken.html", details=details, stay=stay), 409
    except (CardDeclined, CardInvalid, WrongCredentials) as fault:
        return await _refused(details, stay, filled, fault)
    except CallError as error:
        return await _failed(details, stay, filled, error)
    return await _booked(booking, guest)


async def _wanted(room_id: UUID) -> tuple[RoomDetails, StayWish]:
    """The room and a stay that fits it; the room's page explains what does not."""
    details = await Rooms.client().room(room_id)
    stay = read_stay(Form(request.args))
    if stay is None or stay.guests > details.room.capacity:
        back = f"{url_for('searching.room', room_id=room_id)}?{request.query_string.decode('ascii', 'replace')}"
        abort(redirect(back, 303))  # type: ignore[arg-type]
    return details, stay


async def _page(details: RoomDetails, stay: StayWish, filled: Form, trouble: str = "") -> str:
    return await render_template("pay.html", details=details, stay=stay, form=filled, trouble=trouble)


async def _refused(details: RoomDetails, stay: StayWish, filled: Form, fault: Fault) -> tuple[str, int]:
    """The answer stands for this key, so the next attempt gets another one."""
    filled.sent["key"] = fresh_key()
    if isinstance(fault, CardDeclined):
        words = DECLINES.get(fault.reason, "Your bank declined the card.")
        return await _page(details, stay, filled, f"{words} {NOTHING_CHARGED}"), 402
    if isinstance(fault, CardInvalid):
        name = fault.field.rpartition(".")[2]
        filled.errors[name if name in CARD else "number"] = fault.reason
    else:
        filled.errors |= {"password": "There is an account with this address, and this is not its password."}
    return await _page(details, stay, filled), 422


async def _failed(details: RoomDetails, stay: StayWish, filled: Form, error: CallError) -> tuple[str, int]:
    """Where it is not known whether the booking happened the key stays, so that sending again books once."""
    current_app.logger.warning("a booking was not answered: %s", error)
    if error.code is Code.INVALID_ARGUMENT:
        filled.sent["key"] = fresh_key()
        known = filled.blame(error, (*CARD, *GUEST))
        return await _page(details, stay, filled, "" if known else USED), 422 if known else 409
    if error.code in (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED):
        raise error
    return await _page(details, stay, filled, AGAIN), 503


async def _booked(booking: Booking, guest: NewUser | None) -> Response:
    """Show the booking to who made it; a new guest is signed in for that."""
    page = "bookings.booking" if booking.status is Status.FAILED else "bookings.confirmed"
    address = url_for(page, booking_id=booking.booking_id)
    if guest is not None:
        try:
            welcome(await Users.client().sign_in(Credentials(email=guest.email, password=guest.password)))
        except (CallError, WrongCredentials) as error:
            current_app.logger.warning("booked, but not signed in: %s", error)
            address = url_for("account.sign_in", next=address)
    return redirect(address, 303)  # type: ignore[return-value]


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _expiry(text: str) -> str:
    """`9 / 2029`, `0929` and `09/29` all mean 09/29."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*[/.-]?\s*(?:20)?(\d\d)\s*", text)
    return f"{match[1]:0>2}/{match[2]}" if match else text.strip()
