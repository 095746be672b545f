"""Who may look on and act by TCP: who knows one of the two tokens, as a cookie of a browser or a bearer token."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from meristem.asgi import respond
from meristem.operators.actors import Actor
from meristem.operators.host_guard import is_told_secure
from meristem.operators.operator_tokens import OperatorTokens
from meristem.operators.same_origin import is_of_own_page

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meristem.asgi import ASGIApp, Field, Receive, Scope, Send
    from meristem.operators.actors import Role

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
FORM: Final = "/sign-in"
LEAVE: Final = "/sign-out"
COOKIE: Final = "Path=/; HttpOnly; SameSite=Strict"
BETWEEN: Final = 1.0  # seconds between two looks whether the token is still good by which a long answer was asked
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
ASKED: Final = (
    "Open the address that the run printed, or that <code>meristem dashboard</code> prints, or enter the token that "
    "stands in it."
)
WRONG: Final = "That is not a token of this system."
LEFT: Final = "You are signed out of this browser."
FOREIGN: Final = b"a page of another address sent this; open the dashboard and sign in or out there\n"
ROLES: Final[tuple[Role, ...]] = ("operator", "viewer")


def token_of(role: Role, secret: str) -> str:
    """The token of a role, which follows from the system's secret: 128 bits that nobody finds by trying.

    It stays the same over restarts, and is another one with another secret.
    """
    return hmac.new(secret.encode(), f"meristem dashboard {role}".encode(), hashlib.sha256).hexdigest()[:32]


def link_of(address: str, token: str) -> str:
    """The address for people, by which a browser signs in."""
    return f"{address}/?{urlencode({TOKEN: token})}"


class OperatorSignIn:
    """Tells who knows a token of a system: `operator` may act, `viewer` only looks.

    Around the pages it is an app that shows a form to others. People's own tokens are in the file `kept`, if any.
    """

    def __init__(self, system: str, secret: str, kept: Path | None = None) -> None:
        self._shared: dict[Role, str] = {role: token_of(role, secret) for role in ROLES}
        self._tokens = OperatorTokens(kept, self._shared)
        self.token = self._shared["operator"]
        self.viewer_token = self._shared["viewer"]
        self._system = system
        # Cookies know no ports: two systems of one machine, also of one name in two folders, have one each.
        name = hmac.new(secret.encode(), f"cookie of {system}".encode(), hashlib.sha256).hexdigest()
        self._cookie = f"meristem-{name[:12]}"

    def link(self, address: str, role: Role = "operator") -> str:
        """The address by which a browser signs in."""
        return link_of(address, self._shared[role])

    def actor(self, fields: Iterable[Field]) -> Actor | None:
        """Who sends a request with these fields; None for somebody without a token."""
        for name, value in fields:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                known = self._tokens.find(value[7:].strip().decode("latin-1"))
                return None if known is None else Actor(known.role, "bearer", name=known.name)
            if name == b"cookie" and (found := self._tokens.find(self._of_cookie(value.decode("latin-1")))) is not None:
                return Actor(found.role, "cookie", name=found.name)
        return None

    def around(self, app: ASGIApp) -> ASGIApp:
        """An app that only who signed in reaches; others get the form."""

        async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await send({"type": "websocket.close", "code": 1000})
                return
            given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            if scope["path"] in (FORM, LEAVE) and scope["method"] == "POST":
                await self._come_or_go(scope, receive, send)
            elif TOKEN in given:
                rest = urlencode({name: value for name, value in given.items() if name != TOKEN})
                await self._enter(given, _local(scope["path"]) + (f"?{rest}" if rest else ""), send, _cookie_for(scope))
            elif scope["path"].startswith(FILES) or self.actor(scope["headers"]) is not None:
                await app(scope, receive, send)
            else:
                await self._ask(ASKED, send, scope["method"])

        return signed_in

    def while_known(self, app: ASGIApp) -> ASGIApp:
        """An app whose answers may last: soon after the token is revoked by which it was asked, the asker is gone."""

        async def known(scope: Scope, receive: Receive, send: Send) -> None:
            async def received() -> Any:
                waiting = asyncio.ensure_future(receive())
                try:
                    while not waiting.done():
                        if self.actor(scope["headers"]) is None:
                            return {"type": "http.disconnect"}
                        await asyncio.wait({waiting}, timeout=BETWEEN)
                    return waiting.result()
                finally:
                    waiting.cancel()

            await app(scope, received, send)

        return known

    async def _come_or_go(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_of_own_page(scope["headers"]) is False:
            await respond(send, 403, b"text/plain; charset=utf-8", FOREIGN, GUARDS)
        elif scope["path"] == FORM:
            await self._enter(
                dict(parse_qsl((await _body(receive)).decode(errors="replace"))), "/", send, _cookie_for(scope)
            )
        else:
            # The token itself stays good: who must be kept out has it revoked (`meristem tokens`).
            gone = (b"set-cookie", f"{self._cookie}=; Max-Age=0; {COOKIE}".encode())
            await self._ask(LEFT, send, status=200, fields=[gone])

    async def _enter(self, given: dict[str, str], where: str, send: Send, kind: str) -> None:
        token = given.get(TOKEN, "")
        if self._tokens.find(token) is None:
            await self._ask(WRONG, send)
            return
        cookie = f"{self._cookie}={token}; {kind}"
        # Without a token in it: it would stay in the history of the browser, and lead others in by a shared link.
        await respond(send, 303, fields=[(b"location", where.encode()), (b"set-cookie", cookie.encode()), *GUARDS])

    async def _ask(
        self, text: str, send: Send, method: str = "GET", status: int = 401, fields: Iterable[Field] = ()
    ) -> None:
        page = PAGE.format(system=escape(self._system), text=text).encode()
        await respond(send, status, b"text/html; charset=utf-8", page, [*fields, *GUARDS], method=method)

    def _of_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value


def _cookie_for(scope: Scope) -> str:
    """How long and where a cookie counts; what came over TLS never goes out without."""
    is_secure = scope.get("scheme") == "https" or is_told_secure(scope["headers"])
    return f"{COOKIE}; Secure" if is_secure else COOKIE


def _local(path: str) -> str:
    """A path of this very address: `//evil.example` would be another one, and so what a browser takes for it."""
    # Quoted as it came: browsers drop tabs and line ends of an address, and `?` or `#` would end the path.
    return "/" + quote(path.lstrip("/\\"))


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= LONGEST:
        message: Any = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body[:LONGEST]
