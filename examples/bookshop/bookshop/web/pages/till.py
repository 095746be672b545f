"""The till: an address, a card, and one order, whatever goes wrong on the way."""

from __future__ import annotations

from uuid import UUID

from quart import Blueprint, abort, current_app, flash, g, render_template, request, url_for
from quart.wrappers import Response
from sitekit.bank.cards import Card, CardDeclined, CardInvalid
from sitekit.pages.cards import CARD, blame_card, declined, typed_card
from sitekit.pages.forms import Form
from sitekit.pages.visitors import acting, glance, leads_to, signed_in

from bookshop.contracts.carts import CartChanged
from bookshop.contracts.catalogue import Catalogue
from bookshop.contracts.checkout import CartEmpty, Checkout, DeliveryAddress, PriceChanged, Quote
from bookshop.contracts.inventory import OutOfStock, ReservationExpired
from bookshop.contracts.payments import CardToken
from bookshop.contracts.transactions import PromotionUsed, Transactions
from bookshop.web.carts import merge, quoted
from bookshop.web.paying import Shown, buy, keep_card, kept_card, made, token_for
from bookshop.web.reader import seen
from meristem import CallError, Code, Fault

blueprint = Blueprint("till", __name__)

ADDRESS = {
    "name": "Write the name that stands at the door.",
    "street": "Write the street and the number of the house.",
    "postcode": "Write the postcode.",
    "city": "Write the town or city.",
    "country": "Write the country.",
}
SEEN = {"cart_version": "", "total": "", "promotion": ""}
REFUSED = "The order cannot be made like this. Look at the address and the card again."
AGAIN = "Ordering takes longer than usual. Send the form again as it is: you will not order or pay twice."
ANEW = (
    "That order is not among your orders yet; if it does not come about, what was charged for it goes back. This is "
    "what is in your cart now. Send the form to order it."
)
NOT_NOW = (
    "A part of our shop cannot be reached, so this time nothing was ordered or charged. Send the form again as it is "
    "in a moment."
)
CARD_AGAIN = (
    "Your bank cannot be reached, so this time nothing was ordered or charged. Write your card again, which is kept "
    "nowhere, and send the form in a moment."
)


@blueprint.get("/checkout")
@signed_in
async def form() -> Response | str:
    """The form, with the address of the last order in it; an empty cart has nothing to pay."""
    await merge()
    with acting():
        quote = await Checkout.client().quote()
    if not quote.lines:
        seen(0)
        await flash("There is nothing in your cart to pay for. What you ordered is among your orders.")
        return leads_to(url_for("basket.cart"))
    if any(line.left < line.item.copies for line in quote.lines):
        return leads_to(url_for("basket.cart"))  # it says of which book there are too few
    filled = Form(await glance(_last_address, {"name": g.user.name}))
    return await _page(filled, Shown.of(quote), quote)


@blueprint.post("/checkout")
@signed_in
async def pay() -> Response | tuple[str, int]:
    """Order and pay; whatever goes wrong is said on the form, which then can be sent again."""
    filled = Form(await request.form)
    shown = filled.build(Shown, SEEN)
    if shown is None:
        abort(400)
    if (order := await glance(lambda: made(shown), None)) is not None:
        return _led(order.order_id)
    address, card = filled.build(DeliveryAddress, ADDRESS), _card(filled) if shown.total else None
    if filled.errors or (card is None and shown.total):
        return await _page(filled, shown, await quoted()), 422
    try:
        return await _ordered(filled, shown, address, card)
    except CardInvalid as fault:
        blame_card(filled, fault)
        return await _page(filled, shown, await quoted()), 422
    except Fault as fault:
        return await _refused(filled, fault)
    except CallError as error:
        return await _failed(filled, shown, error)


async def _ordered(
    filled: Form, shown: Shown, address: DeliveryAddress, card: Card | CardToken | None
) -> Response | tuple[str, int]:
    try:
        token = await token_for(card, shown) if isinstance(card, Card) else card
    except CallError as error:
        keep_card(None)  # of an attempt before, with another card
        return await _failed(filled, shown, error, CARD_AGAIN)
    keep_card(token)
    order = await buy(shown, token, address)
    if order is not None:
        return _led(order.order_id)
    quote = await quoted()
    if quote is not None and quote.lines:  # what was begun is undone, or books were added since: another intent
        return await _page(filled, Shown.of(quote), quote, ANEW), 409
    return await _page(filled, shown, None, AGAIN), 503


def _led(order_id: UUID) -> Response:
    keep_card(None)
    seen(0)
    return leads_to(url_for("orders.thanks", order_id=order_id))


async def _refused(filled: Form, fault: Fault) -> Response | tuple[str, int]:
    """Nothing was ordered or charged; the form shows the cart as it is now, and what was typed before."""
    if isinstance(fault, CardDeclined):
        keep_card(None)
        words = declined(fault)
    elif isinstance(fault, OutOfStock):
        words = f"{await _short_of(fault)} Nothing was charged. Change the copies in your cart, then order the rest."
    elif isinstance(fault, PriceChanged):
        words = "A price has changed since you saw it. Nothing was charged. This is what your cart costs now."
    elif isinstance(fault, PromotionUsed):
        words = "You have had your free book with another order. Nothing was charged. This is the price without it."
    elif isinstance(fault, CartChanged | CartEmpty):
        words = "Your cart has changed since you saw it. Nothing was charged. This is what is in it now."
    elif isinstance(fault, ReservationExpired):
        words = "Paying took so long that others bought your books. Your money is on its way back. You can order again."
    else:
        raise fault
    quote = await quoted()
    if quote is not None and not quote.lines:
        seen(0)
        await flash("Your cart is empty, so nothing was charged. What you ordered is among your orders.")
        return leads_to(url_for("basket.cart"))
    if quote is None:
        return await _page(filled, filled.build(Shown, SEEN), None, words), 409
    return await _page(filled, Shown.of(quote), quote, words), 402 if isinstance(fault, CardDeclined) else 409


async def _failed(filled: Form, shown: Shown, error: CallError, words: str = "") -> tuple[str, int]:
    """Nothing has happened, or what has can't be known, and the form can be sent again."""
    current_app.logger.warning("a checkout could not be made: %s", error)
    if error.code is Code.INVALID_ARGUMENT:
        known = filled.blame(error, (*CARD, *ADDRESS))
        return await _page(filled, shown, await quoted(), "" if known else REFUSED), 422
    if error.code in (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED):
        raise error
    words = words or (AGAIN if error.may_have_happened else NOT_NOW)
    return await _page(filled, shown, await quoted(), words), 503


def _card(filled: Form) -> Card | CardToken | None:
    """The card that was typed; if none was, the one that is still known from an attempt before."""
    kept = kept_card()
    if kept is not None and not any(filled.shown(name).strip() for name in CARD):
        return kept
    return typed_card(filled)


async def _short_of(fault: OutOfStock) -> str:
    books = await glance(lambda: Catalogue.client().books([fault.book_id]), [])
    title = f"“{books[0].title}”" if books else "one of the books"
    return f"Of {title} there {'is 1 copy' if fault.left == 1 else f'are {fault.left} copies'} left."


async def _last_address() -> dict[str, str]:
    orders = await Transactions.client().mine(limit=1)
    return {each: getattr(orders[0].address, each) for each in ADDRESS} if orders else {"name": g.user.name}


async def _page(filled: Form, shown: Shown, quote: Quote | None, trouble: str = "") -> str:
    """The form; without a quote it shows the total alone that the customer has seen before."""
    return await render_template("till.html", form=filled, shown=shown, quote=quote, trouble=trouble, kept=kept_card())
