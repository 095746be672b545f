"""The model: which books are bought by those who bought others.

It is EASE (H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019): one matrix of weights between
books, which is the closed solution of a ridge regression of each book on all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

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
