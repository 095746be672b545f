"""Finding a book: the first page with its shelves, a search, a book."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta
from quart import Blueprint, abort, current_app, g, redirect, render_template, request, url_for
from quart.wrappers import Response
from sitekit.pages.forms import Form, fresh_key
from sitekit.pages.visitors import acting, glance

from bookshop.contracts.catalogue import Catalogue, Category, Found
from bookshop.contracts.inventory import Inventory
from bookshop.contracts.items import MOST_COPIES
from bookshop.contracts.promotions import Promotions
from bookshop.web.formats import SHELVES
from bookshop.web.paging import page_asked_for
from bookshop.web.suggestions import recommended

blueprint = Blueprint("browsing", __name__)

ON_SHELF, PROPOSED, PER_PAGE = 6, 6, 24
FANNED = 2  # which book of each shelf is shown in the banner
NOTHING = Found(books=[], total=0)
Words = Annotated[str, Meta(max_length=100)]


@blueprint.get("/")
async def home() -> str:
    """The promotion, what we recommend, and the shelves; each of them is missing alone."""
    is_open, proposed, shelves = await asyncio.gather(
        promotion_is_open(),
        recommended(g.user, list(SHELVES), PROPOSED),
        asyncio.gather(*(_shelf(each) for each in SHELVES)),
    )
    filled = [(category, found) for category, found in zip(SHELVES, shelves, strict=True) if found.books]
    fan = [found.books[FANNED % len(found.books)] for _, found in filled]
    return await render_template("home.html", promotion=is_open, fan=fan, proposed=proposed, filled=filled)


@blueprint.get("/search")
async def results() -> str | Response | tuple[str, int]:
    """The books that a search finds, by the page."""
    form = Form(request.args)
    query = form.take("q", Words, "Search for at most 100 letters.")
    category = _category(form.shown("shelf"))
    page = page_asked_for()
    if form.errors:
        abort(400)
    if not query and category is None and "page" not in request.args and "all" not in request.args:
        return redirect(url_for("browsing.home"), 303)  # type: ignore[return-value]
    with acting():
        found = await Catalogue.client().search(query, category, limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    proposed = await recommended(g.user, list(SHELVES), PROPOSED) if not found.total else []
    pages = max(1, -(-found.total // PER_PAGE))
    return await render_template(
        "results.html", query=query, category=category, found=found, page=page, pages=pages, proposed=proposed
    )


@blueprint.get("/books/<int:book_id>")
async def book(book_id: int) -> str:
    """A book, whether it is in stock, and what its readers have read beside it."""
    if not 0 < book_id < 2**31:
        abort(404)
    with acting():
        found = await Catalogue.client().book(book_id)
    left, is_open, proposed = await asyncio.gather(
        _left(book_id), promotion_is_open(), recommended(g.user, [found.category], PROPOSED, [book_id])
    )
    return await render_template(
        "book.html", book=found, left=left, promotion=is_open, proposed=proposed, key=fresh_key(), most=MOST_COPIES
    )


@blueprint.get("/favicon.ico")
async def icon() -> Response:
    """What browsers ask for on pages that name no icon, such as those of other apps on this host."""
    return await current_app.send_static_file("book.svg")


async def promotion_is_open() -> bool:
    """Whether to show the banner; not where that can't be known, for it would promise too much to some."""
    return await glance(lambda: Promotions.client().is_open(), otherwise=False)


async def _shelf(category: Category) -> Found:
    return await glance(lambda: Catalogue.client().search("", category, limit=ON_SHELF), NOTHING)


async def _left(book_id: int) -> int | None:
    """How many copies there are; None when that can't be known just now."""

    async def ask() -> int:
        (stock,) = await Inventory.client().stock([book_id])
        return stock.left

    return await glance(ask, None)


def _category(name: str) -> Category | None:
    known: dict[str, Category] = {each.value: each for each in SHELVES}
    if name and name not in known:
        abort(400)
    return known.get(name)
