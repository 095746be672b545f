"""A guest's bookings: the list, one with its tracking record and receipt, and cancelling it."""

from uuid import UUID

from quart import Blueprint, abort, flash, jsonify, render_template, request, url_for
from quart.wrappers import Response
from sitekit.pages.forms import KEY, fresh_key
from sitekit.pages.visitors import acting, leads_to, signed_in

from hotels.contracts.reservations import Booking, NotCancellable, ReceiptPending, Reservations, Status
from hotels.web import tracking
from hotels.web.stays import today

blueprint = Blueprint("bookings", __name__)


@blueprint.get("/bookings")
@signed_in
async def mine() -> str:
    """Everything that the guest booked."""
    with acting():
        booked = await Reservations.client().mine()
    return await render_template("bookings.html", bookings=booked, states=tracking.STATES)


@blueprint.get("/bookings/<uuid:booking_id>")
@signed_in
async def booking(booking_id: UUID) -> str:
    """One booking with what happened to it."""
    return await _page("booking.html", await _booking(booking_id))


@blueprint.get("/bookings/<uuid:booking_id>/confirmed")
@signed_in
async def confirmed(booking_id: UUID) -> str:
    """The same booking, as greeted right after it was made."""
    return await _page("confirmed.html", await _booking(booking_id))


@blueprint.get("/bookings/<uuid:booking_id>/tracking.json")
@signed_in
async def progress(booking_id: UUID) -> Response:
    """The timeline as the page shows it, and whether it is worth asking again."""
    found = await _booking(booking_id)
    rendered = await render_template("_progress.html", booking=found, tracking=tracking)
    settled = tracking.settled(found)
    return jsonify(
        html=rendered, settled=settled, status=tracking.STATES[found.status], text=tracking.announcement(found)
    )


@blueprint.get("/bookings/<uuid:booking_id>/receipt.pdf")
@signed_in
async def receipt(booking_id: UUID) -> Response | tuple[str, int, dict[str, str]]:
    """The receipt as a file to keep."""
    try:
        with acting():
            pdf = await Reservations.client().receipt(booking_id)
    except ReceiptPending:
        return await render_template("receipt_pending.html", booking_id=booking_id), 404, {"Retry-After": "3"}
    name = f'attachment; filename="receipt-{str(booking_id)[:8]}.pdf"'
    return Response(pdf, mimetype="application/pdf", headers={"Content-Disposition": name})


@blueprint.get("/bookings/<uuid:booking_id>/cancel")
@signed_in
async def ask_to_cancel(booking_id: UUID) -> Response | str:
    """What cancelling means, before it is done."""
    found = await _booking(booking_id)
    if not cancellable(found):
        return leads_to(url_for("bookings.booking", booking_id=booking_id))
    return await render_template("cancel.html", booking=found, key=fresh_key())


@blueprint.post("/bookings/<uuid:booking_id>/cancel")
@signed_in
async def cancel(booking_id: UUID) -> Response:
    """Cancel; the page of the booking says what happens with the money."""
    key = (await request.form).get("key", "")
    if not KEY.fullmatch(key):
        abort(400)
    try:
        with acting(key):
            await Reservations.client().cancel(booking_id)
    except NotCancellable:
        await flash("The stay has begun, so this booking cannot be cancelled any more.", "problem")
    return leads_to(url_for("bookings.booking", booking_id=booking_id))


def cancellable(found: Booking) -> bool:
    """Whether the page offers to cancel; the service has the last word."""
    return found.status is Status.CONFIRMED and found.arrival >= today()


async def _booking(booking_id: UUID) -> Booking:
    with acting():
        return await Reservations.client().booking(booking_id)


async def _page(template: str, found: Booking) -> str:
    return await render_template(template, booking=found, tracking=tracking, cancellable=cancellable(found))
