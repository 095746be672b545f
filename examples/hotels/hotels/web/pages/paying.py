"""Paying for a room: however often, from wherever and by whichever way the form is sent, it books once.

What a guest means to book is named by room, days and whose it is; the reservations keep one booking for it. A second
room of the same kind is another intent, and its address says so (`another=1`).
"""

import re
from uuid import UUID, uuid5

from quart import Blueprint, abort, current_app, flash, g, render_template, request, url_for
from quart.wrappers import Response
from sitekit.bank.cards import CardDeclined, CardInvalid
from sitekit.pages.accounts import NEW
from sitekit.pages.attempts import attempts, visitor_address, waiting
from sitekit.pages.cards import CARD, blame_card, declined, typed_card
from sitekit.pages.forms import KEY, Form, as_typed, fresh_key
from sitekit.pages.visitors import acting, insist, leads_to, within

from hotels.contracts.reservations import AlreadyBooked, Booking, BookingRequest, Reservations, Status
from hotels.contracts.rooms import RoomDetails, Rooms, RoomTaken
from hotels.contracts.users import NewUser, TooManyAttempts, WrongCredentials
from hotels.web import tracking
from hotels.web.guest import enter
from hotels.web.stays import StayWish, read_stay
from meristem import CallError, Code

blueprint = Blueprint("paying", __name__)

INTENTS = UUID("0b3f6d0e-2d0a-5c33-9f6c-1a7e5d0c4f01")
ENTERING = 3.0  # seconds to sign in a guest whose booking may have been made
MANY = re.compile(r"\d{1,2}")
ENTERED = "Your account is open and you are signed in; only the card is missing."
REFUSED = "The booking cannot be made like this. Look at the stay and the card again."
AGAIN = "Booking takes longer than usual. Write your card again and send the form: you will not pay or book twice."
NOT_NOW = (
    "A part of our site cannot be reached, so this time nothing was booked or charged. Write your card again, which is "
    "kept nowhere, and send the form in a moment."
)
OTHER_PASSWORD = (
    "There is an account with this address, and this is not its password. Use the one that you chose then, or another "  # noqa: S105
    "e-mail address."
)


@blueprint.get("/rooms/<uuid:room_id>/pay")
async def form(room_id: UUID) -> str:
    """The payment form, or the booking that there is already."""
    details, stay = await _wanted(room_id)
    await insist()
    if g.user is not None:
        with acting():
            booking = await Reservations.client().intended(_intent(room_id, stay))
        if booking is not None:
            return await _already(booking, stay)
    return await _page(details, stay, Form())


@blueprint.post("/rooms/<uuid:room_id>/pay")
async def pay(room_id: UUID) -> Response | tuple[str, int]:
    """Book and pay; whatever goes wrong is said on the form, which then can be sent again with the card."""
    details, stay = await _wanted(room_id)
    await insist()
    filled = Form(await request.form)
    if not KEY.fullmatch(filled.shown("key")):
        abort(400)
    card = typed_card(filled)
    guest = None if g.user is not None else filled.build(NewUser, NEW, password=as_typed)
    if filled.errors or card is None:
        return await _page(details, stay, filled), 422
    intent = _intent(room_id, stay)
    wish = BookingRequest(
        room_id=room_id, arrival=stay.arrival, nights=stay.nights, guests=stay.guests,
        card=card, guest=guest, intent=intent,
    )  # fmt: skip
    return await _answer(details, stay, filled, wish)


async def _answer(
    details: RoomDetails, stay: StayWish, filled: Form, wish: BookingRequest
) -> Response | tuple[str, int]:
    guest, address = wish.guest, visitor_address()
    try:
        if guest is not None:
            attempts().admit(address)
        booking = await _book(wish, filled.shown("key"))
    except AlreadyBooked:
        return await _led(request.full_path, guest)
    except RoomTaken:
        if guest is not None:
            await enter(guest)
        return await render_template("taken.html", details=details, stay=stay), 409
    except (WrongCredentials, TooManyAttempts) as fault:
        if isinstance(fault, WrongCredentials):
            attempts().failed(address)
        filled.errors["password"] = waiting(fault) if isinstance(fault, TooManyAttempts) else OTHER_PASSWORD
        return await _page(details, stay, filled), 422
    except (CardDeclined, CardInvalid) as fault:
        return await _refused(details, stay, filled, fault, guest)
    except CallError as error:
        return await _failed(details, stay, filled, error, guest)
    page = "bookings.booking" if booking.status is Status.FAILED else "bookings.confirmed"
    return await _led(url_for(page, booking_id=booking.booking_id), guest)


async def _wanted(room_id: UUID) -> tuple[RoomDetails, StayWish]:
    """The room and a stay that fits it; the room's page explains what does not."""
    details = await Rooms.client().room(room_id)
    stay = read_stay(Form(request.args))
    if stay is None or stay.guests > details.room.capacity:
        back = f"{url_for('searching.room', room_id=room_id)}?{request.query_string.decode('ascii', 'replace')}"
        abort(leads_to(back))  # type: ignore[arg-type]
    return details, stay


def _intent(room_id: UUID, stay: StayWish) -> UUID:
    """What the address means to book; how many guests there are is no reason to book twice."""
    return uuid5(INTENTS, f"{room_id} {stay.arrival} {stay.nights} {_another()}")


def _another() -> int:
    """How many such rooms the guest has that this one is not."""
    asked = request.args.get("another", "")
    return int(asked) if MANY.fullmatch(asked) else 0


async def _book(wish: BookingRequest, key: str) -> Booking:
    try:
        with acting(key):
            return await Reservations.client().book(wish)
    except CallError as error:
        if error.code is not Code.ALREADY_EXISTS:
            raise
    # This form was sent before with another card. The intent sees to it that the guest has one booking all the same.
    with acting(fresh_key()):
        return await Reservations.client().book(wish)


async def _already(booking: Booking, stay: StayWish) -> str:
    return await render_template(
        "already.html", booking=booking, tracking=tracking, stay=stay, another=_another() + 1
    )  # fmt: skip


async def _page(details: RoomDetails, stay: StayWish, filled: Form, trouble: str = "", key: str = "") -> str:
    """The form with the key of what is sent by it, mostly another one each time: a double click is sent under one."""
    filled.sent["key"] = key or fresh_key()
    return await render_template("pay.html", details=details, stay=stay, form=filled, trouble=trouble)


async def _refused(
    details: RoomDetails, stay: StayWish, filled: Form, fault: CardDeclined | CardInvalid, guest: NewUser | None
) -> tuple[str, int]:
    """The card was not taken; a new guest has an account by now, and goes on in it."""
    if guest is not None and await enter(guest):
        await flash(ENTERED)
    if isinstance(fault, CardDeclined):
        return await _page(details, stay, filled, declined(fault)), 402
    blame_card(filled, fault)
    return await _page(details, stay, filled), 422


async def _failed(
    details: RoomDetails, stay: StayWish, filled: Form, error: CallError, guest: NewUser | None
) -> tuple[str, int]:
    """Where it is not known whether the booking happened, sending again finds it or makes it.

    Whose it is must not change meanwhile: a new guest goes on in the account, if it was opened. If not the key stays.
    """
    current_app.logger.warning("a booking was not answered: %s", error)
    if error.code is Code.INVALID_ARGUMENT:
        known = filled.blame(error, (*CARD, *NEW))
        return await _page(details, stay, filled, "" if known else REFUSED), 422
    if error.code in (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED):
        raise error
    with within(ENTERING):
        entered = guest is not None and await enter(guest)
    words = AGAIN if error.may_have_happened else NOT_NOW
    return await _page(details, stay, filled, words, "" if entered else filled.shown("key")), 503


async def _led(address: str, guest: NewUser | None) -> Response:
    """Lead to a page of the guest's; a new one is signed in for that."""
    if guest is not None and not await enter(guest):
        address = url_for("account.sign_in", next=address)
    return leads_to(address)
