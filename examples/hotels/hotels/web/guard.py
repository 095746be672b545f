"""Keeps other sites from acting in a guest's name: form tokens, origin checks and security headers."""

import hmac
import secrets
from urllib.parse import urlsplit

from quart import Quart, abort, request, session
from quart.wrappers import Response

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
EXPIRED = "This form is too old to be sent. Go back, reload the page and try again."


def form_token() -> str:
    """The token that each form carries; it lives as long as the session."""
    token: str | None = session.get("form_token")
    if token is None:
        token = session["form_token"] = secrets.token_urlsafe(24)
    return token


async def refuse_forgery() -> None:
    """Accept a form only from a page of this site: by where the browser says it comes from, and by its token."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403, "This form came from another site.")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, "This form came from another site.")
    expected = session.get("form_token", "")
    sent = (await request.form).get("form_token", "")
    if not expected or not hmac.compare_digest(expected.encode(), sent.encode()):
        abort(403, EXPIRED)


async def harden(response: Response) -> Response:
    """Add the headers that keep a browser from running or framing what is not ours."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def install(app: Quart) -> None:
    """Teach the templates `form_token()`."""
    app.jinja_env.globals["form_token"] = form_token
