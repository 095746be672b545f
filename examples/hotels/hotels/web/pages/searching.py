"""Finding a room: the first page, the results, a room."""

from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Meta
from quart import Blueprint, current_app, jsonify, render_template, request
from quart.wrappers import Response
from sitekit.pages.forms import Form
from sitekit.pages.visitors import within

from hotels.contracts.rooms import Rooms
from hotels.contracts.search import City, Offer, Offers, Search
from hotels.web.stays import StayWish, read_stay
from meristem import CallError, Code

blueprint = Blueprint("searching", __name__)

FIRST, MOST = 30, 200
FEW = 3
PROPOSING = 0.5  # seconds that a page waits at most for cities to propose
PRICE = "Write a price as a number, for example 120."
CityName = Annotated[str, Meta(min_length=1, max_length=80)]


@blueprint.get("/")
async def home() -> str:
    """The search form and some cities to begin with."""
    form = Form()
    read_stay(form)
    return await render_template("home.html", form=form, cities=await _cities("", 8))


@blueprint.get("/search")
async def results() -> str | tuple[str, int]:
    """The rooms that are free for a stay."""
    form = Form(request.args)
    stay = read_stay(form)
    city = form.take("city", CityName, "Which city do you want to go to?")
    most = _highest_price(form)
    if stay is None or city is None or form.errors:
        return await render_template("home.html", form=form, cities=await _cities("", 8)), 400
    limit = MOST if "all" in request.args else FIRST
    try:
        found = await Search.client().find(city, stay.arrival, stay.nights, stay.guests, max_price=most, limit=limit)
    except CallError as error:
        if error.code is not Code.INVALID_ARGUMENT or not form.blame(
            error, ("city", "arrival", "nights", "guests", "max_price")
        ):
            raise
        return await render_template("home.html", form=form, cities=[]), 400
    near = await _suggestions(found) if not found.offers else []
    return await render_template(
        "results.html", form=form, stay=stay, found=found, near=near, few=FEW, more=len(found.offers) >= limit == FIRST
    )


@blueprint.get("/cities.json")
async def cities() -> Response:
    """Cities that begin with `prefix`, for the search field."""
    prefix = request.args.get("prefix", "").strip()[:80]
    response = jsonify(
        [{"name": each.name, "country": each.country, "hotels": each.hotels} for each in await _cities(prefix, 8)]
    )
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@blueprint.get("/favicon.ico")
async def icon() -> Response:
    """What browsers ask for on pages that name no icon, such as those of other apps on this host."""
    return await current_app.send_static_file("lamp.svg")


@blueprint.get("/rooms/<uuid:room_id>")
async def room(room_id: UUID) -> str | tuple[str, int]:
    """A room, its hotel and what the stay would cost."""
    details = await Rooms.client().room(room_id)
    form = Form(request.args)
    stay = read_stay(form)
    fits = stay is not None and stay.guests <= details.room.capacity
    page = await render_template("room.html", details=details, form=form, stay=stay, fits=fits)
    return page if stay is not None else (page, 400)


def search_again(city: str, stay: StayWish) -> dict[str, str]:
    """The address of a search for the same stay."""
    return {"city": city, **stay.query()}


@blueprint.app_template_filter("partner_link")
def partner_link(offer: Offer) -> str | None:
    """The partner's page for an offer, if its address is one that a browser may safely follow."""
    parts = urlsplit(offer.link or "")
    web = parts.scheme in ("http", "https") and bool(parts.netloc)
    local = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    return offer.link if web or local else None


def _highest_price(form: Form) -> Decimal | None:
    """The price above which the visitor wants to see nothing, if they named one."""
    if not form.shown("max_price"):
        return None
    price: Decimal | None = form.take("max_price", Decimal, PRICE, clean=_decimal)
    if price is not None and not 0 <= price <= 100_000:
        form.errors["max_price"] = PRICE
    return price


def _decimal(text: str) -> str:
    """A number as people type it: `89,50` is 89.50; what Decimal cannot compare is no number."""
    plain = text.strip().replace(",", ".")
    return plain if plain.replace(".", "", 1).isdecimal() and plain.isascii() else "none"


async def _suggestions(found: Offers) -> list[City]:
    """Cities whose name resembles one in which nothing was found: the longest common beginning decides."""
    known = await _cities(found.city, 1)
    if known and known[0].name.casefold() == found.city.casefold():
        return []
    for length in (4, 3, 2, 1):
        near = await _cities(found.city[:length], 6)
        if near:
            return near
    return await _cities("", 6)


async def _cities(prefix: str, limit: int) -> list[City]:
    """Cities to propose; none when they cannot be had in a moment, because no page depends on them."""
    try:
        with within(PROPOSING):
            return await Search.client().cities(prefix, limit)
    except CallError as error:
        current_app.logger.warning("no cities to propose: %s", error)
        return []
