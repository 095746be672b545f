"""What is answered to which request, wherever the service lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from bookshop.catalogue.service import CatalogueService
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations
from bookshop.recommendations.service import RecommendationsService
from bookshop.recommendations.training import TrainingService

from meristem import CallError, Code

MYSTERIES = 19  # of the catalogue


@pytest.fixture
async def client(run: Callable[..., Any]) -> AsyncIterator[Recommendations]:
    """The service with the books of the catalogue, before anything was sold."""
    nothing_sold = {"recommendations": {"readers": 0}}
    async with run(CatalogueService, TrainingService, RecommendationsService, settings=nothing_sold) as app:
        yield app.client(Recommendations)


async def titles(client: Recommendations, most: int = 3, category: BookCategory = BookCategory.MYSTERY) -> list[str]:
    reply = await client.recommend(RecommendationRequest(user_id=1, category=category, max_results=most))
    return [each.title for each in reply.recommendations]


async def test_never_more_than_there_are_and_never_one_twice(client: Recommendations) -> None:
    found = {most: await titles(client, most) for most in (0, 2, 3, 2**31 - 1)}
    assert {most: len(set(each)) for most, each in found.items()} == {0: 0, 2: 2, 3: 3, 2**31 - 1: MYSTERIES}
    assert all(len(set(each)) == len(each) for each in found.values())


async def test_what_is_no_request_is_refused(client: Recommendations) -> None:
    refused = {
        RecommendationRequest(category=BookCategory(77), max_results=3): (Code.NOT_FOUND, "Category not found"),
        RecommendationRequest(category=BookCategory(-1), max_results=3): (Code.NOT_FOUND, "Category not found"),
        RecommendationRequest(max_results=-1): (Code.INVALID_ARGUMENT, "max_results must not be negative"),
    }
    for request, (code, says) in refused.items():
        with pytest.raises(CallError, match=says) as error:
            await client.recommend(request)
        assert error.value.code is code


async def test_each_category_has_its_own_books(client: Recommendations) -> None:
    assert [await titles(client, category=each) for each in BookCategory] == [
        ["The Maltese Falcon", "Murder on the Orient Express", "The Hound of the Baskervilles"],
        ["The Hitchhiker's Guide to the Galaxy", "Ender's Game", "The Dune Chronicles"],
        [
            "The 7 Habits of Highly Effective People",
            "How to Win Friends and Influence People",
            "Man's Search for Meaning",
        ],
    ]
