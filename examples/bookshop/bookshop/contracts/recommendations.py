"""Contracts of recommendations.proto."""

from __future__ import annotations

from typing import Protocol

from meristem import Contract, Message, safe
from meristem.proto import ProtoEnum, int32


class BookCategory(ProtoEnum):
    MYSTERY = 0
    SCIENCE_FICTION = 1
    SELF_HELP = 2


class RecommendationRequest(Message):
    user_id: int32 = 0
    category: BookCategory = BookCategory.MYSTERY
    max_results: int32 = 0


class BookRecommendation(Message):
    id: int32 = 0
    title: str = ""


class RecommendationResponse(Message):
    recommendations: list[BookRecommendation] = []


class Recommendations(Contract, Protocol, package=""):
    @safe(public=True)
    async def recommend(self, request: RecommendationRequest) -> RecommendationResponse: ...
