"""Prints what the model is worth on the made-up purchases: `python -m bookshop.recommendations.evaluate`."""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np

from bookshop.catalogue.seeding import entries
from bookshop.contracts.recommendations import BookCategory
from bookshop.recommendations.evaluation import measure
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Integers
from bookshop.recommendations.settings import RecommendationsSettings


def made_up(settings: RecommendationsSettings) -> tuple[Integers, dict[int, int]]:
    """The purchases of the history in the books of the catalogue, and the category of each book."""
    history = History(settings)
    shelves = {each.book_id: int(BookCategory[each.category.name]) for each in entries()}
    rows = [(reader, book) for book, shelf in shelves.items() for reader in history.buyers(book, shelf)]
    return np.array(rows, np.int32).reshape(-1, 2), shelves


def main() -> None:
    """Train on all purchases but one of each customer, and print how often that one is recommended."""
    purchases, shelves = made_up(RecommendationsSettings())
    begun = perf_counter()
    quality = measure(purchases, shelves)
    sys.stdout.write(
        f"{len(purchases)} purchases of {len(shelves)} books; one held out of each of {quality.customers} customers\n"
        f"among the first {quality.at} of its shelf: model {quality.model:.1%}, most sold {quality.most_sold:.1%}\n"
        f"trained and measured in {perf_counter() - begun:.2f} s\n"
    )


if __name__ == "__main__":
    main()
