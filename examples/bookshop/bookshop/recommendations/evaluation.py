"""What a model is worth: whether it would have shown a customer the book that they then bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bookshop.contracts.training import Quality
from bookshop.recommendations.model import Integers, Model

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED: Final = 1926
SHOWN: Final = 3  # as many as a page shows
FEWEST: Final = 3  # purchases of a customer of whom one is held out


def measure(purchases: Integers, shelves: Mapping[int, int]) -> Quality:
    """Hold out one purchase of each customer, train on the others, and look how often it is among the first three."""
    kept, held_out = _split(purchases)
    if not len(held_out):
        return Quality(customers=0, at=SHOWN, model=0.0, most_sold=0.0)
    model = Model.train(kept)
    by_customer: dict[int, list[int]] = {}
    for customer, book in kept.tolist():
        by_customer.setdefault(customer, []).append(book)
    baskets = [by_customer[customer] for customer in held_out[:, 0].tolist()]
    of_shelf = _books_of(shelves)
    rows = [of_shelf[shelves[book]] for book in held_out[:, 1].tolist()]
    rates = [
        _hit_rate(each.rank(baskets, rows), held_out[:, 1].tolist())
        for each in (model, Model.most_sold(model.books, model.sold))
    ]
    return Quality(customers=len(held_out), at=SHOWN, model=rates[0], most_sold=rates[1])


def _split(purchases: Integers) -> tuple[Integers, Integers]:
    """The purchases without one of each customer with enough of them, and these."""
    made = np.random.default_rng(SEED)
    shuffled = purchases[made.permutation(len(purchases))]
    _, firsts, counts = np.unique(shuffled[:, 0], return_index=True, return_counts=True)
    held = np.zeros(len(shuffled), np.bool_)
    held[firsts[counts >= FEWEST]] = True
    return shuffled[~held], shuffled[held]


def _books_of(shelves: Mapping[int, int]) -> dict[int, Integers]:
    found: dict[int, list[int]] = {}
    for book, shelf in sorted(shelves.items()):
        found.setdefault(shelf, []).append(book)
    return {shelf: np.asarray(books, np.int32) for shelf, books in found.items()}


def _hit_rate(ranked: list[list[int]], wanted: list[int]) -> float:
    return sum(book in first[:SHOWN] for first, book in zip(ranked, wanted, strict=True)) / len(wanted)
