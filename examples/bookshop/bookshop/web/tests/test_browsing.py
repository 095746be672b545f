"""Finding a book: what a reader sees, also where a service is away."""

from __future__ import annotations

from typing import Any

import pytest
from bookshop.web.tests.conftest import PATIENCE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("bookshop pages")]


async def test_the_first_page_has_the_promotion_and_every_shelf(reader: Any) -> None:
    page = await reader.get("/")
    assert page.status == 200
    assert page.heading == "Take three books, and the cheapest is ours to give"
    for words in (
        "What our readers take home",
        "Mystery",
        "Science fiction",
        "Self-help",
        "See all 22 of Science fiction",
    ):
        assert words in page.text
    assert page.html.count('class="tile"') == 24
    assert "Content-Security-Policy" in page.headers


@pytest.mark.parametrize(
    ("away", "missing", "there"),
    [
        ("Recommendations", "What our readers take home", "Self-help"),
        ("Promotions", "ours to give", "Self-help"),
        ("Catalogue", "See all", "ours to give"),
        ("Customers", "nothing", "ours to give"),
        ("Carts", "nothing", "ours to give"),
    ],
)
async def test_what_is_away_is_missing_alone(reader: Any, outages: Any, away: str, missing: str, there: str) -> None:
    outages.of.add(away)
    page = await reader.get("/")
    assert page.status == 200
    assert missing not in page.text
    assert there in page.text


async def test_a_page_waits_for_what_it_can_do_without_as_long_as_it_is_told(reader: Any, outages: Any) -> None:
    await reader.sign_up()
    outages.waits.clear()
    await reader.get("/")
    asked = {"Customers.identify", "Promotions.is_open", "Recommendations.recommend", "Catalogue.search"}
    assert asked <= outages.waits.keys()
    assert all(left is not None and left <= PATIENCE for name, left in outages.waits.items() if name in asked)


async def test_a_search_finds_books_by_the_beginnings_of_words(reader: Any) -> None:
    page = await reader.get("/search?q=agat+chr")
    assert page.heading == "Books for “agat chr”"
    assert "Murder on the Orient Express" in page.text
    assert "€11.99" in page.text


async def test_what_is_not_found_leads_to_other_books(reader: Any) -> None:
    page = await reader.get("/search?q=xylophone+zebra")
    assert page.status == 200
    assert "We have found nothing for “xylophone zebra”" in page.text
    assert "What our readers take home" in page.text


async def test_many_books_are_shown_by_the_page(reader: Any) -> None:
    first, last = await reader.get("/search?all=1"), await reader.get("/search?page=3")
    assert "60 books, page 1 of 3" in first.text
    assert first.html.count('class="tile"') == 24
    assert last.html.count('class="tile"') == 12
    assert "Next page" not in last.text


@pytest.mark.parametrize("query", ["shelf=POETRY", "page=0", "page=many", f"q={'x' * 101}"])
async def test_a_search_that_cannot_be_is_refused(reader: Any, query: str) -> None:
    assert (await reader.get(f"/search?{query}")).status == 400


async def test_a_search_for_nothing_leads_to_the_shelves(reader: Any) -> None:
    assert (await reader.get("/search?q=+")).headers["Location"] == "/"


async def test_what_is_searched_is_text(reader: Any) -> None:
    page = await reader.get("/search?q=%3Cimg%20src=x%3E")
    assert "<img" not in page.html
    assert "&lt;img" in page.html


async def test_a_book_has_its_price_its_stock_and_books_beside_it(reader: Any) -> None:
    page = await reader.get("/books/10")
    assert page.heading == "The Moonstone"
    for words in ("Wilkie Collins", "€11.99", "In stock", "Add to cart", "Read by those who read this kind of book"):
        assert words in page.text
    assert page.text.count("The Moonstone") == 2  # its title, and its heading: nobody proposes the book itself


async def test_a_book_is_told_without_its_stock_where_that_is_not_known(reader: Any, outages: Any) -> None:
    outages.of |= {"Inventory", "Recommendations", "Promotions"}
    page = await reader.get("/books/10")
    assert page.status == 200
    assert "We will know whether it is in stock when you order" in page.text
    assert "Add to cart" in page.text


async def test_a_book_that_there_is_not_is_missing(reader: Any) -> None:
    for address in ("/books/4000", "/books/99999999999", "/nowhere"):
        page = await reader.get(address)
        assert (page.status, page.heading) == (404, "This page is missing from our copy")


async def test_an_address_that_takes_forms_alone_says_so(reader: Any) -> None:
    page = await reader.get("/cart/add")
    assert page.status == 405
    assert "POST" in page.headers["Allow"]


async def test_where_the_catalogue_is_away_a_search_says_so(reader: Any, outages: Any) -> None:
    outages.of.add("Catalogue")
    page = await reader.get("/search?q=moonstone")
    assert (page.status, page.headers["Retry-After"]) == (503, "5")
    assert "Your cart and your orders are safe" in page.text
