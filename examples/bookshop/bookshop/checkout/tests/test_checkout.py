"""A checkout ends either complete or undone; all services, the bank and a mail server take part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from bookshop.conftest import give_away
from bookshop.contracts.carts import CartChanged
from bookshop.contracts.checkout import CartEmpty, DeliveryAddress, PriceChanged
from bookshop.contracts.inventory import OutOfStock, ReservationExpired
from bookshop.contracts.payments import CardDeclined
from bookshop.contracts.promotions import Promotions
from bookshop.contracts.transactions import (
    NotRefundable,
    Order,
    OrderPlaced,
    OrderRefunded,
    OrderStatus,
    OrderUnknown,
    PromotionUsed,
)

from meristem import CallError, Code, using
from meristem.testing import ManualClock

MOONSTONE, HOUND, SPADE = 10, 3, 1  # 11.99, 9.99 and 12.99
DECLINED, BUSY_ONCE, SLOW = "4000000000000002", "4000000000000341", "4000000000000119"


async def test_a_checkout_does_all_that_it_should(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        order = await shop.buy(MOONSTONE, HOUND)

        assert order.status is OrderStatus.PLACED
        assert order.total == 1199 + 999
        assert not order.buy_two_get_one_free_promo
        assert await shop.transactions.mine() == [order]
        assert await shop.transactions.order(order.order_id) == order
        assert (await shop.carts.cart()).items == []
    assert await shop.left(MOONSTONE) == 39
    assert await shop.kept_by_the_bank(order.order_id) == order.total
    assert await shop.subjects(1) == ["Your books are on their way"]
    assert [each.event.order for each in shop.app.published(OrderPlaced)] == [order]


async def test_of_three_books_the_cheapest_is_free_and_the_order_says_so(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        quote = await shop.fill(MOONSTONE, HOUND, SPADE)
        assert quote.offer.applies
        assert (quote.offer.free_book_id, quote.total) == (HOUND, 1199 + 1299)
        order = await shop.checkout.check_out(await shop.request(quote))

        assert order.buy_two_get_one_free_promo
        assert (order.discount, order.total) == (999, 1199 + 1299)
        assert await shop.kept_by_the_bank(order.order_id) == order.total
        assert not await shop.app.client(Promotions).is_open()
        again = await shop.fill(MOONSTONE, HOUND, SPADE)
        assert not again.offer.is_open
        assert again.total == 1199 + 999 + 1299


async def test_what_costs_nothing_is_bought_without_a_card_and_the_bank_hears_nothing(shop: Any) -> None:
    await give_away(shop.app, SPADE)
    with shop.as_(await shop.customer()):
        request = await shop.request(await shop.fill(SPADE), card=None)
        assert request.total == 0
        order = await shop.checkout.check_out(request)
        assert (order.status, order.total, order.payment) == (OrderStatus.PLACED, 0, None)
        assert await shop.subjects(1) == ["Your books are on their way"]
        assert (await shop.checkout.refund(order.order_id)).status is OrderStatus.REFUNDED
    assert await shop.left(SPADE) == 40
    assert await shop.kept_by_the_bank(order.order_id) == 0


async def test_what_costs_something_is_not_bought_without_a_card(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        quote = await shop.fill(SPADE)
        with pytest.raises(CallError) as refusal:
            await shop.checkout.check_out(await shop.request(quote, card=None))
        assert [each.field for each in refusal.value.violations] == ["card"]
        with pytest.raises(PriceChanged):  # nor by saying that it costs nothing
            await shop.checkout.check_out(await shop.request(quote, card=None, total=0))
        assert len((await shop.carts.cart()).items) == 1
        assert await shop.transactions.mine() == []


@pytest.mark.parametrize("line", DeliveryAddress.__struct_fields__)
async def test_each_line_of_an_address_is_one(shop: Any, line: str) -> None:
    with shop.as_(await shop.customer()):
        request = await shop.request(await shop.fill(SPADE))
        wrong = msgspec.structs.replace(request.address, **{line: "12\nSquare"})
        with pytest.raises(CallError) as refusal:
            await shop.checkout.check_out(msgspec.structs.replace(request, address=wrong))
        assert [each.field for each in refusal.value.violations] == [f"address.{line}"]
        assert len((await shop.carts.cart()).items) == 1


async def test_a_declined_card_leaves_nothing_behind(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        with pytest.raises(CardDeclined):
            await shop.buy(MOONSTONE, HOUND, SPADE, number=DECLINED)

        await shop.app.settled(timeout=60)
        assert await shop.transactions.mine() == []
        assert {item.book_id for item in (await shop.carts.cart()).items} == {MOONSTONE, HOUND, SPADE}
        assert (await shop.checkout.quote()).offer.applies  # the promotion is unused again
    assert await shop.left(MOONSTONE) == 40
    assert await shop.kept_by_the_bank() == 0
    assert shop.app.published(OrderPlaced) == []


async def test_a_bank_that_is_busy_is_asked_again_until_the_order_stands(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        buying = asyncio.ensure_future(shop.buy(MOONSTONE, number=BUSY_ONCE))
        await shop.app.eventually(buying.done, timeout=60)
        assert buying.result().status is OrderStatus.PLACED
    assert await shop.kept_by_the_bank() == 1199


async def test_the_same_request_twenty_times_is_one_order(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        request = await shop.request(await shop.fill(MOONSTONE))

        async def check_out() -> Order:
            with using(key="the same"):
                return await shop.checkout.check_out(request)

        answers = await asyncio.gather(*(check_out() for _ in range(20)))
        assert len({answer.order_id for answer in answers}) == 1
        assert len(await shop.transactions.mine()) == 1
    assert await shop.kept_by_the_bank() == 1199
    assert await shop.left(MOONSTONE) == 39


async def test_a_cart_that_two_tabs_buy_is_bought_once(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        quote = await shop.fill(MOONSTONE, HOUND, SPADE)
        tabs = [shop.checkout.check_out(await shop.request(quote)) for _ in range(5)]
        answers = await asyncio.gather(*tabs, return_exceptions=True)

        assert sum(isinstance(each, Order) for each in answers) == 1
        assert sum(isinstance(each, CartChanged) for each in answers) == 4
        assert len(await shop.transactions.mine()) == 1
    assert await shop.kept_by_the_bank() == 1199 + 1299


async def test_the_promotion_is_used_once_while_another_device_still_pays_with_it(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        shown = await shop.fill(MOONSTONE, HOUND, SPADE)
        paying = asyncio.ensure_future(shop.checkout.check_out(await shop.request(shown, SLOW)))
        await shop.app.eventually(shop.kept_by_the_bank, timeout=60)  # it has the money and is slow to say so

        other = await shop.fill(MOONSTONE, HOUND, SPADE)
        assert not other.offer.is_open
        with pytest.raises(PromotionUsed):
            await shop.checkout.check_out(await shop.request(other, buy_two_get_one_free_promo=True))
        assert (await paying).buy_two_get_one_free_promo
        again = await shop.checkout.check_out(await shop.request(await shop.checkout.quote()))
        assert not again.buy_two_get_one_free_promo


async def test_what_is_charged_is_what_was_shown(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        quote = await shop.fill(MOONSTONE)
        for changes, refusal in (
            ({"total": quote.total - 1}, PriceChanged),
            ({"buy_two_get_one_free_promo": True}, PriceChanged),
            ({"cart_version": quote.cart_version - 1}, CartChanged),
            ({"cart_version": 1 << 70}, CallError),  # no database could look for it
        ):
            with pytest.raises(refusal):
                await shop.checkout.check_out(await shop.request(await shop.checkout.quote(), **changes))
        await shop.app.settled(timeout=60)
        assert (await shop.checkout.quote()).total == quote.total
    assert await shop.kept_by_the_bank() == 0


async def test_a_refund_gives_everything_back_but_the_promotion(shop: Any) -> None:
    with shop.as_(await shop.customer()):
        order = await shop.buy(MOONSTONE, HOUND, SPADE)
        assert await shop.subjects(1) == ["Your books are on their way"]
        refunded = await shop.checkout.refund(order.order_id)

        assert refunded.status is OrderStatus.REFUNDED
        assert await shop.subjects(1) == ["Your money is on its way back"]
        assert await shop.kept_by_the_bank() == 0
        assert await shop.left(MOONSTONE) == 40
        assert not (await shop.fill(MOONSTONE, HOUND, SPADE)).offer.is_open
        with pytest.raises(NotRefundable):
            await shop.checkout.refund(order.order_id)
    assert [each.event.order_id for each in shop.app.published(OrderRefunded)] == [order.order_id]


async def test_an_order_is_sent_back_for_two_weeks_and_by_its_owner(open_shop: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with open_shop(clock) as shop:
        ada, eve = await shop.customer("ada"), await shop.customer("eve")
        with shop.as_(ada):
            order = await shop.buy(MOONSTONE)
        with shop.as_(eve):
            for ask in (shop.checkout.refund, shop.transactions.order):
                with pytest.raises(OrderUnknown):
                    await ask(order.order_id)
        clock._now += timedelta(days=15)
        with shop.as_(ada), pytest.raises(NotRefundable):
            await shop.checkout.refund(order.order_id)


async def test_what_is_out_of_stock_is_not_charged(open_shop: Callable[..., Any]) -> None:
    async with open_shop(inventory={"first_delivery": 1}) as shop:
        with shop.as_(await shop.customer()):
            with pytest.raises(OutOfStock) as raised:
                await shop.buy(HOUND, MOONSTONE, MOONSTONE)
            assert (raised.value.book_id, raised.value.left) == (MOONSTONE, 1)
            await shop.app.settled(timeout=60)
            assert (await shop.carts.cart()).copies == 3
        assert await shop.left(HOUND) == 1
        assert await shop.kept_by_the_bank() == 0


async def test_books_that_were_given_to_others_while_the_bank_was_thinking_are_paid_back(
    open_shop: Callable[..., Any],
) -> None:
    async with open_shop(inventory={"reservation_minutes": 0.0}) as shop:
        with shop.as_(await shop.customer()):
            with pytest.raises(ReservationExpired):
                await shop.buy(MOONSTONE)
            await shop.app.settled(timeout=60)
            assert (await shop.carts.cart()).copies == 1
        assert await shop.kept_by_the_bank() == 0
        await shop.app.eventually(partial(shop.left, MOONSTONE), equals=40, timeout=60)


async def test_who_is_not_signed_in_or_has_nothing_in_the_cart_buys_nothing(shop: Any) -> None:
    visitor = "a-visitor-without-a-name-1"
    await shop.carts.add(MOONSTONE, visitor=visitor)
    quote = await shop.checkout.quote(visitor)
    with pytest.raises(CallError) as raised:
        await shop.checkout.check_out(await shop.request(quote))
    assert raised.value.code is Code.UNAUTHENTICATED
    with shop.as_(await shop.customer()):
        empty = await shop.checkout.quote()
        assert (empty.cart_version, empty.total, empty.lines) == (0, 0, [])
        with pytest.raises((CartEmpty, CartChanged)):
            await shop.checkout.check_out(await shop.request(empty))


async def test_no_card_is_written_anywhere(shop: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    with shop.as_(await shop.customer()):
        await shop.buy(MOONSTONE)
    await shop.subjects(1)
    for file in tmp_path.glob("*.db*"):
        if file.stem != "bank":
            assert b"4242424242424242" not in file.read_bytes(), file
            assert b"analytical engine" not in file.read_bytes(), file
    assert "4242424242424242" not in caplog.text
