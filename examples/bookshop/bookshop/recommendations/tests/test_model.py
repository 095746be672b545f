"""The model: what it learns, and how it ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from bookshop.recommendations.evaluate import made_up
from bookshop.recommendations.evaluation import measure
from bookshop.recommendations.model import Model
from bookshop.recommendations.ranking import Ranking
from bookshop.recommendations.settings import RecommendationsSettings

SHELF = np.array([1, 2, 3, 4], np.int32)


def two_circles() -> Model:
    """Books 1 and 2 are bought together, and so are 3 and 4, which are sold more often."""
    first = [(customer, book) for customer in range(400) for book in (1, 2)]
    second = [(customer, book) for customer in range(400, 1000) for book in (3, 4)]
    return Model.train(np.array(first + second, np.int32))


def ranked(*baskets: list[int], model: Model | None = None, shelf: Any = SHELF, most: int = 9) -> list[list[int]]:
    return Ranking(model or two_circles(), np.array(shelf, np.int32)).rank(baskets, most)


def test_what_is_bought_by_the_same_people_comes_first_and_what_one_has_comes_last() -> None:
    assert ranked([1], [4]) == [[2, 3, 4, 1], [3, 1, 2, 4]]
    assert ranked([1], most=2) == [[2, 3]]


def test_who_has_bought_nothing_gets_what_is_sold_most() -> None:
    assert ranked([]) == [[3, 4, 1, 2]]


def test_books_that_the_model_has_never_seen_are_ranked_behind_those_that_were_sold() -> None:
    assert ranked([], [9, 77], [0], shelf=[0, 2, 9]) == [[2, 0, 9], [2, 0, 9], [2, 9, 0]]


def test_a_shelf_without_books_has_nothing_to_rank() -> None:
    assert ranked([1], shelf=[]) == [[]]


def test_a_model_without_books_ranks_in_the_order_of_the_list() -> None:
    assert ranked([3], model=Model.untrained()) == [[1, 2, 4, 3]]


def test_each_customer_of_a_batch_is_answered_as_alone() -> None:
    baskets = [[1], [], [3, 4], [2, 3]]
    assert ranked(*baskets) == [ranked(each)[0] for each in baskets]


def test_a_model_that_was_kept_ranks_as_before() -> None:
    model = two_circles()
    assert ranked([1], [3], [], model=Model.load(model.dump())) == ranked([1], [3], [], model=model)


def test_it_finds_what_customers_bought_far_more_often_than_most_sold_does() -> None:
    purchases, shelves = made_up(RecommendationsSettings())
    quality = measure(purchases, shelves)
    assert quality.customers > 1_000
    assert quality.model > 0.5
    assert quality.most_sold < 0.4


def test_its_worth_does_not_hang_on_the_order_of_purchases() -> None:
    """The log of a training says what the program says that evaluates it."""
    purchases, shelves = made_up(RecommendationsSettings())
    assert measure(np.random.default_rng(2).permutation(purchases), shelves) == measure(purchases, shelves)


def test_where_purchases_have_no_pattern_it_finds_none() -> None:
    made = np.random.default_rng(1)
    purchases = np.unique(made.integers((1, 1), (1_000, 31), (8_000, 2), dtype=np.int32), axis=0)
    quality = measure(purchases, dict.fromkeys(range(1, 31), 0))
    assert abs(quality.model - 3 / 22) < 0.05
    assert abs(quality.most_sold - 3 / 22) < 0.05


def test_without_customers_there_is_nothing_to_measure() -> None:
    assert measure(np.zeros((0, 2), np.int32), {}).customers == 0


def test_a_book_that_is_sold_before_it_is_listed_keeps_nobody_from_training() -> None:
    purchases = np.array([(customer, book) for customer in range(1, 20) for book in (1, 2, 3, 4)], np.int32)
    assert measure(purchases, {1: 0, 2: 0, 3: 0}).customers == 19
