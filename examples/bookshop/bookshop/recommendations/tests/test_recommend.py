"""What is recommended, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations
from bookshop.recommendations.service import RecommendationsService

from meristem import CallError, Code


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (2, 2), (3, 3), (100, 3)])
async def test_never_more_than_there_are_and_never_one_twice(run: Callable[..., Any], asked: int, given: int) -> None:
    async with run(RecommendationsService) as app:
        reply = await app.client(Recommendations).recommend(RecommendationRequest(user_id=1, max_results=asked))
    assert len({each.id for each in reply.recommendations}) == len(reply.recommendations) == given


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (RecommendationRequest(category=BookCategory(77), max_results=3), Code.NOT_FOUND, "Category not found"),
        (RecommendationRequest(max_results=-1), Code.INVALID_ARGUMENT, "max_results must not be negative"),
    ],
)
async def test_what_is_no_request_is_refused(
    run: Callable[..., Any], request_: RecommendationRequest, code: Code, says: str
) -> None:
    async with run(RecommendationsService) as app:
        with pytest.raises(CallError, match=says) as refused:
            await app.client(Recommendations).recommend(request_)
    assert refused.value.code is code
