"""The cart: putting books in, changing how many, taking them out."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint, abort, flash, g, render_template, request, url_for
from quart.wrappers import Response
from sitekit.pages.forms import KEY, Form
from sitekit.pages.visitors import acting, insist, leads_to

from bookshop.contracts.carts import CartFull, Carts
from bookshop.contracts.items import MOST_COPIES, BookId, Copies
from bookshop.web.carts import shown_cart
from bookshop.web.formats import SHELVES
from bookshop.web.reader import new_visitor, seen, visitor
from bookshop.web.suggestions import recommended, shelves_of

blueprint = Blueprint("basket", __name__)

PROPOSED = 6
Wanted = Annotated[int, Meta(ge=0, le=MOST_COPIES)]


@blueprint.get("/cart")
async def cart() -> str:
    """What is in the cart and what it costs; which book is free says so itself."""
    shown = await shown_cart()
    books = [line.book for line in shown.lines]
    shelves = shelves_of(books) or list(SHELVES)
    proposed = await recommended(g.user, shelves, PROPOSED, [each.book_id for each in books])
    return await render_template("cart.html", cart=shown, proposed=proposed, most=MOST_COPIES)


@blueprint.post("/cart/add")
async def add() -> Response:
    """Put copies into the cart; a form that is sent twice has its effect once."""
    form = Form(await request.form)
    book_id, copies = form.take("book_id", BookId, ""), form.take("copies", Copies, "")
    if form.errors or not KEY.fullmatch(form.shown("key")):
        abort(400)
    await insist()
    try:
        with acting(form.shown("key")):
            seen((await Carts.client().add(book_id, copies, visitor=new_visitor())).copies)
    except CartFull as fault:
        await flash(_full(fault), "problem")
    return leads_to(url_for("basket.cart"))


@blueprint.post("/cart/<int:book_id>")
async def put(book_id: int) -> Response:
    """Change how many copies there are; of none the book is taken out."""
    form = Form(await request.form)
    wanted = form.take("copies", Wanted, "")
    if form.errors or not 0 < book_id < 2**31:
        abort(400)
    await insist()
    try:
        with acting():
            seen((await Carts.client().put(book_id, wanted, visitor=visitor())).copies)
    except CartFull as fault:
        await flash(_full(fault), "problem")
    return leads_to(url_for("basket.cart"))


def _full(fault: CartFull) -> str:
    return f"A cart holds {fault.most_copies} copies of a book, and {fault.most_books} different books."
