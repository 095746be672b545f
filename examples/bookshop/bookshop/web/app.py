"""Puts the shop's pages together: `bookshop.web.app:app` is an ASGI app that any server or system can host."""

from __future__ import annotations

from datetime import timedelta

from quart import Quart
from sitekit.pages.furnishing import furnish
from sitekit.pages.site import Site

from bookshop.contracts.customers import Customer, Customers
from bookshop.web import covers, formats, reader
from bookshop.web.pages import account, basket, browsing, orders, report, till
from bookshop.web.problems import FAULTS, PROBLEMS
from bookshop.web.settings import WebSettings
from meristem import Identity


def create_app(settings: WebSettings | None = None) -> Quart:
    """Make the shop; nothing is read or written before the first request."""
    settings = settings or WebSettings.read()
    app = Quart(__name__)
    app.config.update(
        SESSION_COOKIE_NAME="bookshop",
        PERMANENT_SESSION_LIFETIME=timedelta(days=60),  # a visitor's cart is kept as long
        WEB_SETTINGS=settings,
    )
    furnish(
        app,
        Site(
            home="browsing.home",
            sign_in="account.sign_in",
            secret=settings.signing_secret,
            identify=lambda token: Customers.client().identify(token),
            identity=_identity,
            problems=PROBLEMS,
            faults=FAULTS,
            policy={"font-src": "'self'"},
            patience=settings.patience,
            proxies=settings.proxies,
        ),
    )
    for part in (covers, formats, reader):
        part.install(app)
    app.jinja_env.globals["demonstration"] = settings.demonstration
    for pages in (browsing, basket, till, orders, account, report):
        app.register_blueprint(pages.blueprint)
    return app


def _identity(customer: Customer) -> Identity:
    return Identity(subject=str(customer.customer_id), name=customer.name)


app = create_app()
