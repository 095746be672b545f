"""Who is reading, how calls are made in their name, and how long a page waits for what it can do without."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import msgspec
from quart import Quart, current_app, g, redirect, request, session, url_for
from quart.wrappers import Response

from bookshop.contracts.customers import Customer, Customers, Session
from meristem import CallError, Identity, current
from meristem.context import using

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def patience() -> float:
    """How many seconds a page waits at most for a part that it can do without."""
    waits: float = current_app.config["WEB_SETTINGS"].patience
    return waits


async def recognise() -> None:
    """Find out whose session the cookie's token stands for.

    When that cannot be known at a glance, pages that need no sign-in still work, the others ask once more.
    """
    g.customer, g.unrecognised = None, None
    if request.endpoint != "static":
        with within(patience()):
            await _recognise()


async def insist() -> None:
    """Find out who is reading, in all the time that a call has; raises CallError when that cannot be known."""
    if g.unrecognised is not None:
        g.unrecognised = None
        await _recognise()
    if g.unrecognised is not None:
        raise g.unrecognised


async def _recognise() -> None:
    token = session.get("token")
    if token is None:
        return
    try:
        g.customer = await Customers.client().identify(token)
    except CallError as error:
        current_app.logger.warning("cannot tell who is signed in: %s", error)
        g.unrecognised = error
        return
    if g.customer is None:
        session.pop("token")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the calls of a block no more time than this."""
    context = current()
    left = context.remaining()
    deadline = time.monotonic() + (seconds if left is None else min(seconds, left))
    with using(msgspec.structs.replace(context, deadline=deadline)):
        yield


@contextmanager
def acting(key: str | None = None) -> Iterator[None]:
    """Make the calls of a block in the reader's name; `key` makes a `@once` call happen once."""
    customer: Customer | None = g.customer
    identity = None if customer is None else Identity(subject=str(customer.customer_id), name=customer.name)
    with using(msgspec.structs.replace(current(), user=identity, key=key, keys=None)):
        yield


async def glance(ask: Callable[[], Awaitable[T]], otherwise: T) -> T:
    """What a call in the reader's name answers, or `otherwise` when it takes longer than a page would wait for it."""
    try:
        with within(patience()), acting():
            return await ask()
    except CallError as error:
        current_app.logger.warning("%s is shown without a part: %s", request.path, error)
        return otherwise


def signed_in(page: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Show a page to customers who are signed in; send others to sign in first and then back."""

    @wraps(page)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        await insist()
        if g.customer is None:
            back = request.full_path.rstrip("?") if request.method != "POST" else None
            return redirect(url_for("account.sign_in", next=back), 303)  # type: ignore[return-value]
        return await page(*args, **kwargs)

    return guarded


def welcome(opened: Session) -> None:
    """Keep a new session in the cookie; of what was there before the cart alone stays, to be merged."""
    visitor = session.get("visitor")
    session.clear()
    session.permanent = True
    session["token"] = opened.token
    if visitor:
        session["visitor"] = visitor
    g.customer = opened.customer


def visitor() -> str:
    """The text that stands for the cart of a browser; empty when there is none, or when the reader is signed in."""
    return "" if g.customer is not None else session.get("visitor", "")


def new_visitor() -> str:
    """The same, made now if the browser has none: somebody puts a first book into the cart."""
    if g.customer is None and not session.get("visitor"):
        session.permanent = True
        session["visitor"] = secrets.token_urlsafe(24)
    return visitor()


def has_cart() -> bool:
    """Whether there is anybody whose cart could be asked for."""
    return g.customer is not None or bool(session.get("visitor"))


def seen(copies: int) -> None:
    """Keep how many copies are in the cart, so that each page says so and none has to ask."""
    session["copies"] = copies


def local_path(address: str | None) -> str | None:
    """The address if it leads to a page of this shop, else None."""
    if not address or not address.startswith("/") or address.startswith("//") or "\\" in address:
        return None
    parts = urlsplit(address)
    printable = all(" " < character < "\x7f" for character in address)
    return address if printable and not parts.scheme and not parts.netloc else None


def leads_to(address: str) -> Response:
    """Answer a form by a page that can be loaded again."""
    return redirect(address, 303)  # type: ignore[return-value]


def install(app: Quart) -> None:
    """Teach the templates who is reading and how many copies are in the cart."""
    app.jinja_env.globals["customer"] = lambda: g.get("customer")
    app.jinja_env.globals["is_owner"] = is_owner
    app.jinja_env.globals["copies_in_cart"] = lambda: session.get("copies", 0)


def is_owner() -> bool:
    """Whether the reader owns the shop."""
    customer: Customer | None = g.get("customer")
    return customer is not None and customer.email in current_app.config["WEB_SETTINGS"].owners
