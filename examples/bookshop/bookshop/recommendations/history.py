"""The purchases of years in which the shop wasn't there: made up, by a seed, the same each time."""

from __future__ import annotations

from typing import Final

import numpy as np

from bookshop.recommendations.settings import RecommendationsSettings

SEED: Final = 1914
TASTES: Final = 5  # groups of books that are read by the same people, on all shelves
SHELVES: Final = 3
FAVOURED: Final = 8.0  # how much likelier a reader is to buy a book of their own taste
APPETITE: Final = 0.09


class History:
    """Readers with a taste and with shelves that they prefer; books with a taste, of which some are bestsellers.

    What is made up for a book depends on nothing but its id and its shelf, so a book may come at any time.
    """

    def __init__(self, settings: RecommendationsSettings) -> None:
        readers = settings.readers
        made = np.random.default_rng(SEED)
        self._taste = made.integers(TASTES, size=readers)
        self._interest = made.dirichlet(np.ones(SHELVES), size=readers)
        self._appetite = APPETITE * made.gamma(2.0, size=readers)

    def buyers(self, book_id: int, shelf: int) -> list[int]:
        """The readers who have bought a book, by their customer ids, which begin with 1."""
        made = np.random.default_rng((SEED, book_id))
        taste, renown = made.integers(TASTES), made.lognormal(0.0, 0.5)
        fits = np.where(self._taste == taste, FAVOURED, 1.0)
        chance = self._appetite * self._interest[:, shelf % SHELVES] * renown * fits
        bought = made.random(len(chance)) < np.minimum(chance, 0.9)
        return [int(each) + 1 for each in np.flatnonzero(bought)]
