"""Keeps other sites from acting in a visitor's name: form tokens, origin checks and security headers."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from quart import Quart, abort, flash, request, session, url_for
from quart.globals import request_ctx
from quart.wrappers import Response

from sitekit.pages.problems import problem
from sitekit.pages.site import this_site
from sitekit.pages.visitors import leads_to

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
CHANGED = "You signed in or out after that page was opened, so nothing was sent. This is how it looks now."
NO_SESSION = "You signed out after this page was opened, or your browser keeps no cookies. Nothing was sent."


def form_token() -> str:
    """The token that each form carries; it lives as long as the session."""
    token: str | None = session.get("form_token")
    if token is None:
        token = session["form_token"] = secrets.token_urlsafe(24)
    return token


async def refuse_forgery() -> Response | tuple[str, int] | None:
    """Accept a form only from a page of this site: by where the browser says it comes from, and by its token.

    A token of another session is mostly no forgery: its page stayed open while its reader signed in or out in another
    tab. They are shown the page anew, with nothing done; without any session a page says so and leads there.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403, "This form came from another site.")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, "This form came from another site.")
    expected = session.get("form_token", "")
    sent = (await request.form).get("form_token", "")
    if expected and hmac.compare_digest(expected.encode(), sent.encode()):
        return None
    page = _page_of_form()
    if not session:
        return await problem(403, NO_SESSION, onwards=page)
    await flash(CHANGED, "problem")
    return leads_to(page)


def _page_of_form() -> str:
    """The address of the page with the form that was sent; that of the first page for one that is on every page."""
    adapter = request_ctx.url_adapter
    own = adapter is not None and adapter.test(method="GET")
    return request.full_path.rstrip("?") if own else url_for(this_site().home)


async def harden(response: Response) -> Response:
    """Add the headers that keep a browser from running or framing what is not ours."""
    policy = "; ".join(f"{name} {value}" for name, value in {**POLICY, **this_site().policy}.items())
    for name, value in {"Content-Security-Policy": policy, **HEADERS}.items():
        response.headers.setdefault(name, value)
    return response


def install(app: Quart) -> None:
    """Teach the templates `form_token()`."""
    app.jinja_env.globals["form_token"] = form_token
