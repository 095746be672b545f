"""What a model is worth: whether it would have shown a customer the book that they then bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bookshop.contracts.training import Quality
from bookshop.recommendations.model import Integers, Model
from bookshop.recommendations.ranking import Ranking

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
    plain = Model.most_sold(model.books, model.sold)
    hits = dict.fromkeys(("model", "most_sold"), 0)
    for shelf, books in _books_of(shelves).items():
        wanted = [(customer, book) for customer, book in held_out.tolist() if shelves.get(book) == shelf]
        baskets = [by_customer[customer] for customer, _ in wanted]
        for name, each in (("model", model), ("most_sold", plain)):
            ranked = Ranking(each, books).rank(baskets, SHOWN)
            hits[name] += sum(book in first for first, (_, book) in zip(ranked, wanted, strict=True))
    rates = {name: count / len(held_out) for name, count in hits.items()}
    return Quality(customers=len(held_out), at=SHOWN, **rates)


def _split(purchases: Integers) -> tuple[Integers, Integers]:
    """The purchases without one of each customer with enough of them, and these: the same, however they are sorted."""
    in_order = purchases[np.lexsort(purchases.T)]
    shuffled = in_order[np.random.default_rng(SEED).permutation(len(in_order))]
    _, firsts, counts = np.unique(shuffled[:, 0], return_index=True, return_counts=True)
    held = np.zeros(len(shuffled), np.bool_)
    held[firsts[counts >= FEWEST]] = True
    return shuffled[~held], shuffled[held]


def _books_of(shelves: Mapping[int, int]) -> dict[int, Integers]:
    found: dict[int, list[int]] = {}
    for book, shelf in sorted(shelves.items()):
        found.setdefault(shelf, []).append(book)
    return {shelf: np.asarray(books, np.int32) for shelf, books in found.items()}
