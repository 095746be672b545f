"""The service of recommendations."""

from __future__ import annotations

from bookshop.contracts.recommendations import (
    BookCategory,
    BookRecommendation,
    RecommendationRequest,
    RecommendationResponse,
    Recommendations,
)
from meristem import CallError, Code, Service

SHELVES = {
    BookCategory.MYSTERY: ["The Maltese Falcon", "Murder on the Orient Express", "The Hound of the Baskervilles"],
    BookCategory.SCIENCE_FICTION: ["The Hitchhiker's Guide to the Galaxy", "Ender's Game", "The Dune Chronicles"],
    BookCategory.SELF_HELP: [
        "The 7 Habits of Highly Effective People",
        "How to Win Friends and Influence People",
        "Man's Search for Meaning",
    ],
}


class RecommendationsService(Recommendations, Service):
    """Recommends books of a category."""

    async def recommend(self, request: RecommendationRequest) -> RecommendationResponse:
        if request.category not in SHELVES:
            raise CallError(Code.NOT_FOUND, "Category not found")
        if request.max_results < 0:
            raise CallError(Code.INVALID_ARGUMENT, "max_results must not be negative")
        titles = SHELVES[request.category][: request.max_results]
        first = 1 + 3 * request.category
        return RecommendationResponse(
            recommendations=[BookRecommendation(id=first + at, title=title) for at, title in enumerate(titles)]
        )
