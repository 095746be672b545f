"""Who is reading, and which cart is theirs."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from quart import Quart, current_app, g, session
from sitekit.pages import visitors

from bookshop.contracts.customers import Customer, Session


def welcome(opened: Session) -> None:
    """Keep a new session in the cookie; of what was there before the cart alone stays, to be merged."""
    visitors.welcome(opened.customer, opened.token, opened.device, keep=("visitor",))
    session["presumed"] = [opened.customer.customer_id, opened.expires.timestamp()]


async def presume() -> None:
    """Find out whose cart is to be shown: where nobody can tell at a glance, the signed cookie's word is enough.

    It was true when they signed in, and counts no longer than that session. It is enough to look, not to change or buy.
    """
    customer_id, until = session.get("presumed", (None, 0.0))
    if g.unrecognised is not None and datetime.now(UTC).timestamp() < until:
        g.user = Customer(customer_id=customer_id, name="", email="", offers=False)
    else:
        await visitors.insist()


def visitor() -> str:
    """The text that stands for the cart of a browser; empty when there is none, or when the reader is signed in."""
    return "" if g.user is not None else session.get("visitor", "")


def new_visitor() -> str:
    """The same, made now if the browser has none: somebody puts a first book into the cart."""
    if g.user is None and not session.get("visitor"):
        session.permanent = True
        session["visitor"] = secrets.token_urlsafe(24)
    return visitor()


def has_cart() -> bool:
    """Whether there is anybody whose cart could be asked for."""
    return g.user is not None or bool(session.get("visitor"))


def seen(copies: int) -> None:
    """Keep how many copies are in the cart, so that each page says so and none has to ask."""
    session["copies"] = copies


def is_owner() -> bool:
    """Whether the reader owns the shop."""
    customer: Customer | None = g.get("user")
    return customer is not None and customer.email in current_app.config["WEB_SETTINGS"].owners


def install(app: Quart) -> None:
    """Teach the templates who owns the shop and how many copies are in the cart."""
    app.jinja_env.globals["is_owner"] = is_owner
    app.jinja_env.globals["copies_in_cart"] = lambda: session.get("copies", 0)
