"""The model: which books are bought by those who bought others.

It is EASE (H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019): one matrix of weights between
books, which is the closed solution of a ridge regression of each book on all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

RIDGE: Final = 250.0  # the larger, the more it takes to believe in a relation between two books
PIECE: Final = 1024  # customers who are counted at a time: a bound of memory

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Model:
    """Weights between `books`, which stand in ascending order, and how often each was sold."""

    books: Integers
    weights: Floats
    sold: Floats

    @classmethod
    def train(cls, purchases: Integers) -> Self:
        """Learn from purchases: rows of a customer and a book."""
        books, at = np.unique(purchases[:, 1], return_inverse=True)
        together = _bought_together(purchases[:, 0], at, len(books))
        sold = np.diagonal(together).astype(np.float32)
        inverse = np.linalg.inv(together + RIDGE * np.eye(len(books)))
        weights = inverse / -np.diagonal(inverse)
        np.fill_diagonal(weights, 0.0)
        return cls(books.astype(np.int32), weights.astype(np.float32), sold)

    @classmethod
    def untrained(cls) -> Self:
        """A model of no books: it ranks them in the order in which they were listed."""
        return cls(np.zeros(0, np.int32), np.zeros((0, 0), np.float32), np.zeros(0, np.float32))

    @classmethod
    def most_sold(cls, books: Integers, sold: Floats) -> Self:
        """A model that knows no customers: all get the books that were sold most."""
        return cls(books, np.zeros((len(books), len(books)), np.float32), sold)

    def rank(self, baskets: Sequence[Sequence[int]], shelves: Sequence[Integers]) -> list[list[int]]:
        """The books of a shelf for each customer, best first; those that the customer has come last.

        One product of matrices scores all customers. Of equal scores the book that is sold more is better, of equal
        sales the one that was listed first.
        """
        had = np.zeros((len(baskets), len(self.books)), np.float32)
        for row, basket in enumerate(baskets):
            had[row, self._places(np.asarray(basket, np.int32))[0]] = 1.0
        scores = had @ self.weights
        return [self._ranked(scores[row], set(baskets[row]), shelf) for row, shelf in enumerate(shelves)]

    def _ranked(self, scores: Floats, had: set[int], shelf: Integers) -> list[int]:
        places, known = self._places(shelf)
        score, sold = np.zeros(len(shelf), np.float32), np.zeros(len(shelf), np.float32)
        score[known], sold[known] = scores[places], self.sold[places]
        has = np.fromiter((int(each) in had for each in shelf), np.bool_, len(shelf))
        ranked: list[int] = shelf[np.lexsort((shelf, -sold, -score, has))].tolist()
        return ranked

    def _places(self, wanted: Integers) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where those of the wanted books stand that the model knows, and which of them these are."""
        places = np.searchsorted(self.books, wanted)
        known = places < len(self.books)
        known[known] = self.books[places[known]] == wanted[known]
        return places[known], known

    def dump(self) -> bytes:
        """The model as it is kept."""
        written = BytesIO()
        np.savez_compressed(written, books=self.books, weights=self.weights, sold=self.sold)
        return written.getvalue()

    @classmethod
    def load(cls, kept: bytes) -> Self:
        """The model that `dump` wrote."""
        with np.load(BytesIO(kept), allow_pickle=False) as arrays:
            return cls(arrays["books"], arrays["weights"], arrays["sold"])


def _bought_together(customers: Any, places: Any, books: int) -> NDArray[np.float64]:
    """How many customers bought both of two books, and in the diagonal how many bought one."""
    _, rows = np.unique(customers, return_inverse=True)
    counts = np.zeros((books, books))
    for first in range(0, int(rows.max(initial=-1)) + 1, PIECE):
        chosen = (rows >= first) & (rows < first + PIECE)
        had = np.zeros((PIECE, books), np.float32)
        had[rows[chosen] - first, places[chosen]] = 1.0
        counts += had.T @ had
    return counts
