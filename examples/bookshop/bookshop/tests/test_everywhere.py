"""The whole shop by its contracts alone, so that it may run anywhere: `meristem check --divided` runs it everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bookshop.contracts.carts import CartChanged, Carts
from bookshop.contracts.catalogue import Catalogue
from bookshop.contracts.checkout import Checkout, CheckoutRequest, DeliveryAddress
from bookshop.contracts.customers import Credentials, Customers, NewCustomer
from bookshop.contracts.inventory import Inventory
from bookshop.contracts.mail import Mail
from bookshop.contracts.payments import Card, CardDeclined, Payments
from bookshop.contracts.promotions import Promotions
from bookshop.contracts.transactions import OrderStatus, PromotionUsed, Transactions
from bookshop.system import SHOP
from msgspec.structs import replace

from meristem import Identity, System, using
from meristem.testing import RunningSystem, running

APPROVED, DECLINED = "4242424242424242", "4000000000000002"
ADA = NewCustomer(name="Ada Lovelace", email="ada@reader.example", password="analytical engine", offers=True)
HOME = DeliveryAddress(name="Ada", street="12 St James's Square", postcode="SW1Y 4JH", city="London", country="UK")
VISITOR = "a-visitor-without-a-name-1"
site = System("bookshop", services=SHOP)


@pytest.fixture
async def app(bank: str, post: Any, tmp_path: Path) -> AsyncIterator[RunningSystem]:
    settings = {
        "customers": {"time_cost": 1, "memory_kib": 8},
        "payments": {"bank_url": bank, "bank_timeout": 9.0},  # a busy machine is no outage
        "mail": {"smtp_url": post.url, "shop_url": "https://books.example"},
    }
    async with running(site, settings=settings, database=f"sqlite:///{tmp_path}/{{service}}.db") as system:
        await system.settled(timeout=60)
        yield system


async def wish(app: RunningSystem, number: str = APPROVED) -> CheckoutRequest:
    """To buy the cart as it is shown."""
    quote = await app.client(Checkout).quote()
    card = await app.client(Payments).tokenize(Card(number=number, expiry="09/39", cvc="123"))
    return CheckoutRequest(
        cart_version=quote.cart_version,
        total=quote.total,
        buy_two_get_one_free_promo=quote.offer.applies,
        card=card,
        address=HOME,
    )


async def test_a_visitor_fills_a_cart_signs_up_buys_with_the_promotion_once_and_sends_it_back(
    app: RunningSystem,
) -> None:
    books = (await app.client(Catalogue).search("holmes")).books
    carts, checkout, transactions = app.client(Carts), app.client(Checkout), app.client(Transactions)
    for book in books[:2]:
        await carts.add(book.book_id, visitor=VISITOR)
    assert (await checkout.quote(VISITOR)).offer.missing == 1
    await carts.put(books[0].book_id, 2, VISITOR)
    ada = await app.client(Customers).sign_up(ADA)
    session = await app.client(Customers).sign_in(Credentials(email=ADA.email, password=ADA.password))
    assert await app.client(Customers).identify(session.token) == ada

    with using(user=Identity(str(ada.customer_id), ada.name)):
        assert (await carts.merge(VISITOR)).copies == 3
        with pytest.raises(CardDeclined):
            await checkout.check_out(await wish(app, DECLINED))
        await app.settled(timeout=60)
        request = await wish(app)  # the cart is as it was, and the promotion is unused again
        order = await checkout.check_out(request)
        assert (order.status, order.total) == (OrderStatus.PLACED, request.total)
        assert order.buy_two_get_one_free_promo
        with pytest.raises(CartChanged):
            await checkout.check_out(request)

        await carts.add(books[0].book_id, 3)
        assert not await app.client(Promotions).is_open()
        with pytest.raises(PromotionUsed):
            await checkout.check_out(replace(await wish(app), buy_two_get_one_free_promo=True))
        assert (await checkout.refund(order.order_id)).status is OrderStatus.REFUNDED
        assert [each.status for each in await transactions.mine()] == [OrderStatus.REFUNDED]
        assert not await app.client(Promotions).is_open()
    await app.settled(timeout=60)
    assert {each.left for each in await app.client(Inventory).stock([book.book_id for book in books])} == {40}
    assert [each.letter.value for each in await app.client(Mail).sent(ADA.email)] == ["order", "refund"]
