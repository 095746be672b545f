"""A cart is its owner's on all devices; what a visitor has put into one is theirs after a sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from bookshop.carts.service import CartsService
from bookshop.contracts.carts import Cart, CartChanged, CartFull, Carts
from bookshop.contracts.catalogue import BookUnknown, Catalogue

from meristem import CallError, Code, Identity, using
from meristem.testing import ManualClock

VISITOR, OTHER = "a-visitor-without-a-name-1", "a-visitor-without-a-name-2"
ADA = Identity("7", "Ada")


class Shelf:
    """A catalogue of the books up to 100; carts ask for nothing else of it."""

    async def books(self, book_ids: list[int]) -> list[Any]:
        return [_book(each) for each in book_ids if each <= 100]


def _book(book_id: int) -> Any:
    from bookshop.contracts.catalogue import Book, Category, Cover  # noqa: PLC0415 - of this alone

    cover = Cover(paper="#000000", ink="#ffffff", accent="#ffffff")
    return Book(
        book_id=book_id, title="T", author="A", category=Category.MYSTERY, year=1900, pages=1, price=1, blurb="",
        cover=cover,
    )  # fmt: skip


@pytest.fixture
async def carts(run: Callable[..., Any]) -> AsyncIterator[Carts]:
    async with run(CartsService, fakes={Catalogue: Shelf()}) as app:
        yield app.client(Carts)


def held(cart: Cart) -> dict[int, int]:
    return {item.book_id: item.copies for item in cart.items}


async def test_a_cart_grows_changes_and_empties(carts: Carts) -> None:
    assert await carts.cart(VISITOR) == Cart(items=[], version=0)
    await carts.add(1, visitor=VISITOR)
    await carts.add(2, 3, VISITOR)
    assert held(await carts.add(1, visitor=VISITOR)) == {1: 2, 2: 3}
    assert held(await carts.put(2, 1, VISITOR)) == {1: 2, 2: 1}
    assert held(await carts.put(1, 0, VISITOR)) == {2: 1}
    assert held(await carts.cart(OTHER)) == {}


async def test_two_tabs_change_different_books_of_one_cart(carts: Carts) -> None:
    await asyncio.gather(*(carts.add(book_id, visitor=VISITOR) for book_id in (1, 2, 3, 1, 2, 1)))
    assert held(await carts.cart(VISITOR)) == {1: 3, 2: 2, 3: 1}
    await asyncio.gather(carts.put(1, 5, VISITOR), carts.put(3, 0, VISITOR))
    assert held(await carts.cart(VISITOR)) == {1: 5, 2: 2}


async def test_what_is_no_book_and_what_is_too_much_is_refused(carts: Carts) -> None:
    with pytest.raises(BookUnknown):
        await carts.add(101, visitor=VISITOR)
    await carts.add(1, 20, VISITOR)
    with pytest.raises(CartFull):
        await carts.add(1, visitor=VISITOR)
    for book_id in range(2, 51):
        await carts.add(book_id, visitor=VISITOR)
    with pytest.raises(CartFull):
        await carts.add(51, visitor=VISITOR)
    with pytest.raises(CallError) as raised:
        await carts.cart()
    assert raised.value.code is Code.UNAUTHENTICATED


async def test_after_a_sign_in_the_visitors_books_are_in_the_customers_cart(carts: Carts) -> None:
    with using(user=ADA):
        await carts.add(1, 2)
        await carts.add(2, 1)
    for book_id, copies in ((2, 3), (1, 1), (3, 1)):
        await carts.add(book_id, copies, VISITOR)
    with using(user=ADA):
        assert held(await carts.merge(VISITOR)) == {1: 2, 2: 3, 3: 1}
        assert held(await carts.merge(VISITOR)) == {1: 2, 2: 3, 3: 1}  # another tab that signs in
    assert held(await carts.cart(VISITOR)) == {}


async def test_a_cart_is_taken_as_it_was_seen_and_put_back_beside_what_came_since(carts: Carts) -> None:
    with using(user=ADA):
        seen = await carts.add(1, 2)
        await carts.add(2)
        with pytest.raises(CartChanged):
            await carts.take(seen.version)
        taken = await carts.take((await carts.cart()).version)
        assert held(taken) == {1: 2, 2: 1}
        assert held(await carts.cart()) == {}
        await carts.add(2, 4)
        await carts.put_back(taken)
        assert held(await carts.cart()) == {2: 4, 1: 2}


async def test_what_a_visitor_left_long_ago_is_forgotten_and_a_customers_is_not(run: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with run(CartsService, fakes={Catalogue: Shelf()}, clock=clock) as app:
        carts = app.client(Carts)
        await carts.add(1, visitor=VISITOR)
        with using(user=ADA):
            await carts.add(1)
        await clock.sleeping()
        await clock.advance(timedelta(days=61).total_seconds())
        await app.eventually(lambda: _is_empty(carts))
        with using(user=ADA):
            assert held(await carts.cart()) == {1: 1}


async def _is_empty(carts: Carts) -> bool:
    return (await carts.cart(VISITOR)).version == 0
