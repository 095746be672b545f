"""Puts the shop's pages together: `bookshop.web.app:app` is an ASGI app that any server or system can host."""

from __future__ import annotations

from datetime import timedelta

from quart import Quart, g, session
from quart.wrappers import Response

from bookshop.web import assets, covers, errors, formats, guard, reader
from bookshop.web.pages import account, basket, browsing, orders, report, till
from bookshop.web.sessions import SignedSessions
from bookshop.web.settings import WebSettings


def create_app(settings: WebSettings | None = None) -> Quart:
    """Make the shop; nothing is read or written before the first request."""
    app = Quart(__name__)
    app.config.update(
        SESSION_COOKIE_NAME="bookshop",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=60),  # a visitor's cart is kept as long
        MAX_CONTENT_LENGTH=64 * 1024,
        WEB_SETTINGS=settings or WebSettings.read(),
    )
    app.session_interface = SignedSessions()
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(guard.refuse_forgery)
    app.before_request(reader.recognise)
    app.after_request(guard.harden)
    app.after_request(_keep_private)
    for part in (assets, covers, errors, formats, guard, reader):
        part.install(app)
    app.jinja_env.globals["demonstration"] = app.config["WEB_SETTINGS"].demonstration
    for pages in (browsing, basket, till, orders, account, report):
        app.register_blueprint(pages.blueprint)
    return app


async def _keep_private(response: Response) -> Response:
    """A page made for one reader is stored by nobody, not even by the browser that showed it."""
    if "Cache-Control" not in response.headers:
        personal = bool(session) or g.get("customer") is not None
        response.headers["Cache-Control"] = "no-store" if personal else "private, no-cache"
    return response


app = create_app()
