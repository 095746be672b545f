"""Gives an app of Quart all that stands in this folder."""

from __future__ import annotations

from quart import Blueprint, Quart, g, session
from quart.wrappers import Response

from sitekit.pages import assets, attempts, formats, guard, problems, visitors
from sitekit.pages.sessions import SignedSessions
from sitekit.pages.site import NAME, Site

LARGEST = 64 * 1024  # bytes of a form


def furnish(app: Quart, site: Site) -> None:
    """Guard an app's forms, sign its cookies, tell who looks at its pages, and explain what fails.

    Its templates find `fields.html`, `forms.js` by `asset`, `user()`, and filters for numbers and days. It brings
    `problem.html` itself. Nothing is read or written before the first request.
    """
    app.extensions[NAME] = site
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=LARGEST)
    app.session_interface = SignedSessions()
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(guard.refuse_forgery)
    app.before_request(visitors.recognise)
    app.after_request(visitors.remember)
    app.after_request(guard.harden)
    app.after_request(_keep_private)
    for part in (assets, attempts, formats, guard, problems, visitors):
        part.install(app)
    app.register_blueprint(
        Blueprint("kit", __name__, static_folder="static", static_url_path="/kit", template_folder="templates")
    )


async def _keep_private(response: Response) -> Response:
    """A page made for one visitor is stored by nobody, not even by the browser that showed it."""
    if "Cache-Control" not in response.headers:
        personal = bool(session) or g.get("user") is not None
        response.headers["Cache-Control"] = "no-store" if personal else "private, no-cache"
    return response
