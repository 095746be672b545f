"""Books are found by the beginnings of their words, and their covers can be read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from bookshop.catalogue.covers import COVERS
from bookshop.catalogue.folding import folded, words
from bookshop.catalogue.seeding import entries
from bookshop.catalogue.service import CatalogueService
from bookshop.contracts.catalogue import BookListed, BookUnknown, Catalogue, Category


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", COVERS)
def test_what_is_printed_on_a_cover_can_be_read(name: str) -> None:
    cover = COVERS[name]
    assert contrast(cover.paper, cover.ink) >= 4.5
    assert contrast(cover.paper, cover.accent) >= 3  # large letters and ornaments


def test_every_book_is_whole() -> None:
    books = entries()
    assert [book.book_id for book in books] == list(range(1, len(books) + 1))
    assert len({(book.title, book.author) for book in books}) == len(books)
    assert all(book.cover in COVERS and book.price > 0 and 0 < len(book.blurb) <= 400 for book in books)
    assert all(sum(book.category is each for book in books) >= 15 for each in Category)


def test_words_have_no_capitals_accents_or_signs() -> None:
    assert words("Karel Čapek's R.U.R. — Stanisław") == ["karel", "capek", "s", "r", "u", "r", "stanislaw"]
    assert folded("Solaris", "Lem") == " solaris lem"


async def test_a_book_is_found_by_the_beginnings_of_its_words(run: Callable[..., Any]) -> None:
    async with run(CatalogueService) as app:
        catalogue = app.client(Catalogue)
        for query, titles in {
            "čapek": ["R.U.R."],
            "sherl holm": ["The Hound of the Baskervilles", "A Study in Scarlet"],
            "time mach": ["The Time Machine"],
            "100%": [],
            "_": None,
        }.items():
            found = await catalogue.search(query)
            if titles is not None:
                assert [book.title for book in found.books][: len(titles)] == titles, query
            assert len(found.books) == min(found.total, 24)


async def test_those_with_all_words_in_title_and_author_come_first(run: Callable[..., Any]) -> None:
    async with run(CatalogueService) as app:
        titles = [book.title for book in (await app.client(Catalogue).search("war")).books]
    assert titles[:2] == ["The Art of War", "The War of the Worlds"]
    assert "A Princess of Mars" in titles[2:]  # there is a war on Mars


async def test_a_shelf_is_shown_page_by_page_in_the_order_of_titles(run: Callable[..., Any]) -> None:
    async with run(CatalogueService) as app:
        catalogue = app.client(Catalogue)
        shelf = await catalogue.search(category=Category.MYSTERY, limit=100)
        pages = [await catalogue.search(category=Category.MYSTERY, limit=7, offset=at) for at in range(0, 21, 7)]
    assert [book for page in pages for book in page.books] == shelf.books
    assert {book.category for book in shelf.books} == {Category.MYSTERY}
    titles = [" ".join(words(book.title.removeprefix("The ").removeprefix("A "))) for book in shelf.books]
    assert all(one <= other for one, other in pairwise(titles))


async def test_books_come_as_they_are_asked_for_and_one_that_is_none_is_unknown(run: Callable[..., Any]) -> None:
    async with run(CatalogueService) as app:
        catalogue = app.client(Catalogue)
        assert [book.book_id for book in await catalogue.books([9, 999, 2])] == [9, 2]
        assert await catalogue.books([]) == []
        with pytest.raises(BookUnknown):
            await catalogue.book(999)


async def test_a_second_start_enters_nothing_twice(run: Callable[..., Any]) -> None:
    async with run(CatalogueService) as app:
        first = len(app.published(BookListed))
    async with run(CatalogueService) as app:
        assert (first, len(app.published(BookListed))) == (60, 0)
