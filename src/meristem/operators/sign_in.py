"""Who may look on by TCP: who knows the token that the run printed, as a cookie of a browser or a bearer token."""

from __future__ import annotations

import hashlib
import hmac
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from meristem.asgi import respond
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.asgi import ASGIApp, Field, Receive, Scope, Send
    from meristem.transports.http.request import Request

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
FORM: Final = "/sign-in"
LONGEST: Final = 1024  # bytes of the form
POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
GUARDS: Final = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"no-referrer"),  # the token stands in the first address
    (b"x-content-type-options", b"nosniff"),
]
FILES: Final = "/dashboard/"  # the same for everybody, and the form's look is among them
PAGE: Final = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Sign in to {system}</title>
  <link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/dashboard/style/tokens.css">
  <link rel="stylesheet" href="/dashboard/style/base.css">
  <link rel="stylesheet" href="/dashboard/style/sign_in.css">
</head>
<body>
  <main>
    <h1>{system}</h1>
    <p>{text}</p>
    <form method="post" action="/sign-in">
      <label>Token <input name="token" type="password" autocomplete="off" required autofocus></label>
      <button class="button">Sign in</button>
    </form>
  </main>
</body>
</html>
"""
ASKED: Final = "Open the address that the run printed, or enter the token that stands in it."
WRONG: Final = "That is not the token of this system."


class OperatorSignIn:
    """Tells who knows the token of a system, which follows from its secret: it stays the same over restarts.

    `find` refuses RPC without it; around the pages it is an app that shows a form instead.
    """

    def __init__(self, system: str, secret: str) -> None:
        self.token = hmac.new(secret.encode(), b"meristem dashboard", hashlib.sha256).hexdigest()[:32]
        self._system = system
        # Cookies know no ports: the systems of one machine have one each.
        self._cookie = f"meristem-{hashlib.sha256(system.encode()).hexdigest()[:8]}"

    def link(self, address: str) -> str:
        """The address for people, by which a browser signs in."""
        return f"{address}/?{urlencode({TOKEN: self.token})}"

    def find(self, request: Request) -> Response | None:
        """The refusal of a call that nobody stands behind; None for all other requests."""
        if not request.path.startswith(b"/meristem.operator.") or self.knows(request.fields):
            return None
        text = b'{"code":"unauthenticated","message":"this takes the token of the dashboard, as the run printed it"}'
        return Response(401, b"application/json", text, [(b"www-authenticate", b"Bearer"), *GUARDS])

    def knows(self, fields: Iterable[Field]) -> bool:
        """Whether a request has the token."""
        for name, value in fields:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                return self._is_token(value[7:].strip().decode("latin-1"))
            if name == b"cookie" and self._is_token(self._of_cookie(value.decode("latin-1"))):
                return True
        return False

    def around(self, app: ASGIApp) -> ASGIApp:
        """An app that only who signed in reaches; others get the form."""

        async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await send({"type": "websocket.close", "code": 1000})
                return
            given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            if scope["path"] == FORM and scope["method"] == "POST":
                await self._enter(dict(parse_qsl((await _body(receive)).decode(errors="replace"))), "/", send)
            elif TOKEN in given:
                rest = urlencode({name: value for name, value in given.items() if name != TOKEN})
                await self._enter(given, _local(scope["path"]) + (f"?{rest}" if rest else ""), send)
            elif scope["path"].startswith(FILES) or self.knows(scope["headers"]):
                await app(scope, receive, send)
            else:
                await self._ask(ASKED, send, scope["method"])

        return signed_in

    async def _enter(self, given: dict[str, str], where: str, send: Send) -> None:
        if not self._is_token(given.get(TOKEN, "")):
            await self._ask(WRONG, send)
            return
        cookie = f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        # Without a token in it: it would stay in the history of the browser, and lead others in by a shared link.
        await respond(send, 303, fields=[(b"location", where.encode()), (b"set-cookie", cookie.encode()), *GUARDS])

    async def _ask(self, text: str, send: Send, method: str = "GET") -> None:
        page = PAGE.format(system=escape(self._system), text=text).encode()
        await respond(send, 401, b"text/html; charset=utf-8", page, GUARDS, method=method)

    def _of_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _local(path: str) -> str:
    """A path of this very address: `//evil.example` would be another one."""
    return "/" + path.lstrip("/\\")


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= LONGEST:
        message: Any = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body[:LONGEST]
