"""What is recommended by one model, of the books that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bookshop.contracts.recommendations import BookRecommendation
from bookshop.recommendations.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bookshop.recommendations.books import BookRow
    from bookshop.recommendations.model import Model


class Question(NamedTuple):
    """What a customer has, and how many books of which category are wanted."""

    category: int
    basket: list[int]
    most: int


class Recommender:
    """Ranks the books of each category; it never changes, a newer one takes its place."""

    def __init__(self, model: Model, books: Sequence[BookRow]) -> None:
        self.model = model
        self.books = books
        self._replies = {row.book_id: BookRecommendation(id=row.book_id, title=row.title) for row in books}
        shelves: dict[int, list[int]] = {}
        for row in books:
            shelves.setdefault(row.category, []).append(row.book_id)
        self._rankings = {shelf: Ranking(model, np.array(ids, np.int32)) for shelf, ids in shelves.items()}

    def answer(self, questions: Sequence[Question]) -> list[list[BookRecommendation]]:
        """The recommendations for each question, those of one category ranked together."""
        answers: list[list[BookRecommendation]] = [[] for _ in questions]
        for category in {each.category for each in questions} & self._rankings.keys():
            rows = [at for at, each in enumerate(questions) if each.category == category]
            most = max(questions[at].most for at in rows)
            ranked = self._rankings[category].rank([questions[at].basket for at in rows], most)
            for at, first in zip(rows, ranked, strict=True):
                answers[at] = [self._replies[each] for each in first[: questions[at].most]]
        return answers
