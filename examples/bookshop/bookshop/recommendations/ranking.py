"""A model applied to the books of one shelf: ranks them for as many customers at once as there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bookshop.recommendations.model import Integers, Model


class Ranking:
    """Knows the books of the model and of the shelf; a book that the model has never seen weighs nothing."""

    def __init__(self, model: Model, shelf: Integers) -> None:
        self._books = np.union1d(model.books, shelf)
        seen = np.searchsorted(self._books, model.books)
        sold = np.zeros(len(self._books), np.float32)
        sold[seen] = model.sold
        places = np.searchsorted(self._books, shelf)
        # What is sold most stands first, then what was listed first: a stable sort leaves equal scores in that order.
        self._places = places[np.lexsort((shelf, -sold[places]))]
        self._shelf = self._books[self._places]
        weights = np.zeros((len(self._books), len(self._books)), np.float32)
        weights[np.ix_(seen, seen)] = model.weights
        self._weights = np.ascontiguousarray(weights[:, self._places])

    def rank(self, baskets: Sequence[Sequence[int]], most: int) -> list[list[int]]:
        """The first `most` books for each customer, best first; those that the customer has come last.

        One product of matrices scores all customers.
        """
        had = self._had(baskets)
        keys = -(had @ self._weights)
        keys[had[:, self._places] > 0] = np.inf
        order = np.argsort(keys, axis=1, kind="stable")[:, :most]
        ranked: list[list[int]] = self._shelf[order].tolist()
        return ranked

    def _had(self, baskets: Sequence[Sequence[int]]) -> np.ndarray:
        """A row of 0 and 1 for each customer."""
        rows = np.repeat(np.arange(len(baskets)), [len(basket) for basket in baskets])
        wanted = np.fromiter((book for basket in baskets for book in basket), np.int32, len(rows))
        had = np.zeros((len(baskets), len(self._books)), np.float32)
        places = np.searchsorted(self._books, wanted)
        known = places < len(self._books)
        known[known] = self._books[places[known]] == wanted[known]
        had[rows[known], places[known]] = 1.0
        return had
