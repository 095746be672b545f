"""One attempt to pay for the cart: however often its form is sent, from wherever, the cart is bought once.

The checkout's intent is this version of this customer's cart. The order that comes of it has an id that follows from
the intent, which is the idempotency key, too; so none of them depends on what a browser keeps.
"""

from __future__ import annotations

import asyncio
import hmac
from hashlib import sha256
from uuid import UUID

import msgspec
from quart import current_app, g, session
from sitekit.bank.cards import Card
from sitekit.pages.visitors import acting, within

from bookshop.contracts.checkout import Checkout, CheckoutRequest, DeliveryAddress, Quote, order_id_of
from bookshop.contracts.items import Cents
from bookshop.contracts.payments import CardToken, Payments
from bookshop.contracts.transactions import Order, OrderStatus, OrderUnknown, Transactions
from meristem import CallError, Code

PAYING = 12.0  # seconds; what takes longer goes on by itself, and is found when the form is sent again
LOOKS, PAUSE = 10, 0.2  # how often, and with which pauses in between, an order that others began is looked for
AGAIN = (Code.ALREADY_EXISTS, Code.ABORTED)  # this cart is being paid by a form that said something else


class Shown(msgspec.Struct, frozen=True):
    """What the customer was shown, and so agrees to by sending the form."""

    cart_version: int
    total: Cents
    promotion: bool

    @staticmethod
    def of(quote: Quote) -> Shown:
        return Shown(quote.cart_version, quote.total, quote.offer.applies)

    @property
    def order_id(self) -> UUID:
        """The id of the one order that comes of it."""
        return order_id_of(g.user.customer_id, self.cart_version)


async def token_for(card: Card, shown: Shown) -> CardToken:
    """The bank's token for a card, the same for a form that is sent twice; raises CardInvalid."""
    secret = str(current_app.secret_key).encode()
    which = hmac.new(secret, msgspec.json.encode(card), sha256).hexdigest()  # says nothing of the card
    with within(PAYING), acting(f"{shown.order_id}-{which}"):
        return await Payments.client().tokenize(card)


def keep_card(card: CardToken | None) -> None:
    """Keep the bank's token while its holder corrects something else; the card's number is kept nowhere."""
    session.pop("card", None)
    if card is not None:
        session["card"] = msgspec.to_builtins(card)


def kept_card() -> CardToken | None:
    """The card of an attempt that came to nothing for another reason."""
    return msgspec.convert(session["card"], CardToken) if "card" in session else None


async def buy(shown: Shown, card: CardToken | None, address: DeliveryAddress) -> Order | None:
    """The order, also where another form has made it; None where that can't be known yet.

    Raises the faults of a checkout, and CallError where it is known that nothing has happened.
    """
    wish = CheckoutRequest(
        cart_version=shown.cart_version,
        total=shown.total,
        buy_two_get_one_free_promo=shown.promotion,
        card=card,
        address=address,
    )
    try:
        with within(PAYING), acting(str(shown.order_id)):
            return await Checkout.client().check_out(wish)
    except CallError as error:
        if error.code not in AGAIN and not error.may_have_happened:
            raise
        current_app.logger.warning("a checkout was not answered: %s", error)
        return await made(shown, LOOKS if error.code in AGAIN else 1)


async def made(shown: Shown, looks: int = 1) -> Order | None:
    """The order that the cart was bought by before, if it was, or is about to be."""
    for look in range(looks):
        if look:
            await asyncio.sleep(PAUSE)
        try:
            with within(PAYING), acting():
                found = await Transactions.client().order(shown.order_id)
        except OrderUnknown:
            continue
        if found.status not in (OrderStatus.OPEN, OrderStatus.PAID):
            return None if found.status is OrderStatus.FAILED else found
    return None
