"""Books that a page proposes: what it can do without, and so never waits for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from sitekit.pages.visitors import glance

from bookshop.contracts.catalogue import Book, Catalogue, Category
from bookshop.contracts.customers import Customer
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations

NOBODY = 0  # the id of somebody who has bought nothing: what is sold most is for them


async def recommended(
    customer: Customer | None, categories: Sequence[Category], most: int, without: Sequence[int] = ()
) -> list[Book]:
    """Books of these shelves in turn, the best of each first; none when nobody can be asked at the moment."""
    user_id = NOBODY if customer is None else customer.customer_id
    ranked = await asyncio.gather(*(_ranked(user_id, each, most + len(without)) for each in categories))
    longest = max((len(each) for each in ranked), default=0)
    in_turn = [shelf[at] for at in range(longest) for shelf in ranked if at < len(shelf)]
    chosen = [each for each in in_turn if each not in without][:most]
    return await glance(lambda: Catalogue.client().books(chosen), []) if chosen else []


def shelves_of(books: Sequence[Book]) -> list[Category]:
    """The shelves of some books, that of most of them first."""
    return [category for category, _ in Counter(book.category for book in books).most_common()]


async def _ranked(user_id: int, category: Category, most: int) -> list[int]:
    request = RecommendationRequest(user_id=user_id, category=BookCategory[category.value], max_results=most)

    async def ask() -> list[int]:
        answer = await Recommendations.client().recommend(request)
        return [each.id for each in answer.recommendations]

    return await glance(ask, [])
