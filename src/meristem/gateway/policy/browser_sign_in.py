"""Signing in for apps that have no code for it: a browser is sent to the provider, and comes back with a session."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from meristem.gateway.identity.code_flow import PATIENCE, SigningIn
from meristem.gateway.identity.credential import InvalidCredentialError, IssuerAwayError
from meristem.gateway.identity.fetching import FetchError
from meristem.gateway.identity.sealing import TooLargeToKeepError
from meristem.gateway.policy.gateway_refusal import refused
from meristem.head_fields import COOKIE
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from meristem.asgi import Field
    from meristem.gateway.identity.code_flow import CodeFlow
    from meristem.gateway.identity.credential import Credential
    from meristem.gateway.identity.sealing import Seal
    from meristem.gateway.identity.sessions import Sessions
    from meristem.gateway.policy.visit import Outcome, Visit
    from meristem.transports.http.request import Request

logger = logging.getLogger(__name__)
SAFE: Final = ("GET", "HEAD", "OPTIONS")
SESSION: Final = "meristem-session"
ON_THE_WAY: Final = "meristem-sign-in-"  # and the beginning of the state: somebody may sign in on several pages at once
OURS: Final = b"meristem-s"  # what both begin with
NOT_STORED: Final = (b"cache-control", b"no-store")
LONGEST_BACK: Final = 2000  # bytes of a path to come back to; a longer one is not come back to
MOST_PARAMETERS: Final = 20


class SignIn:
    """Sessions of browsers, and the check that answers at `callback` and `sign_out`.

    `after` is the URL to which the provider sends who has signed out, and where it has no such place the path.
    """

    name = "sign-in"

    def __init__(
        self, flow: CodeFlow, sessions: Sessions, seal: Seal, *, callback: str, sign_out: str, after: str
    ) -> None:
        self._flow = flow
        self._sessions = sessions
        self._seal = seal
        self._callback = callback.encode()
        self._sign_out = sign_out.encode()
        self._after = after

    def __call__(self, visit: Visit, /) -> Outcome | Awaitable[Outcome]:
        if visit.path == self._callback:
            return self._come_back(visit.request)
        if visit.path == self._sign_out:
            return self._leave(visit.request)
        _hide(visit.request)
        return None

    def find(self, request: Request) -> Credential | None:
        """Whose session a request is of; None without one, and for one that acts and was made by another host's page.

        Browsers send the cookie with no such request of another site (`SameSite`); hosts of one site are told apart
        here, and so are all of them where a browser does not know that.
        """
        text = _cookie(request, _name(request, SESSION))
        if text is None:
            return None
        head = request.head
        acts = request.method not in SAFE or b"upgrade" in head
        own = request.scheme.encode() + b"://" + request.host
        return None if acts and head.get(b"origin", own) != own else self._sessions.find(text)

    def invites(self, request: Request) -> bool:
        """Whether it is a page that a person opens, who can be sent elsewhere."""
        head = request.head
        return (
            request.method == "GET"
            and b"text/html" in head.get(b"accept", b"")
            and b"upgrade" not in head
            and head.get(b"sec-fetch-mode", b"navigate") == b"navigate"
        )

    def send(self, request: Request) -> Response | Awaitable[Response]:
        """The answer by which a browser goes to the provider."""
        return self._send(request) if self._flow.is_known else self._reach(request)

    async def _reach(self, request: Request) -> Response:
        try:
            await self._flow.reach()
        except IssuerAwayError as error:
            return _away(error)
        return self._send(request)

    def _send(self, request: Request) -> Response:
        back = request.path + (b"?" + request.query if request.query else b"")
        if len(back) > LONGEST_BACK:
            back = b"/"
        signing_in = SigningIn.begin(back.decode("latin-1"), _base(request) + self._callback.decode())
        kept = _set(request, ON_THE_WAY + signing_in.state[:8], self._seal.seal(signing_in), PATIENCE)
        return _redirect(self._flow.start(signing_in), kept)

    async def _come_back(self, request: Request) -> Response:
        if request.method != "GET":
            return refused(405, "who signs in comes back with GET", (b"allow", b"GET"), NOT_STORED)
        try:
            pairs = parse_qsl(request.query.decode("latin-1"), max_num_fields=MOST_PARAMETERS)
        except ValueError:
            pairs = []
        answer = dict(pairs)
        name = ON_THE_WAY + answer.get("state", "")[:8]
        kept = _cookie(request, _name(request, name))
        signing_in = None if kept is None else self._seal.open(kept, SigningIn)
        if signing_in is None or len(pairs) != len(answer) or time.time() > signing_in.expires:
            return refused(400, "this sign-in was not begun here, or too long ago; open the page once more", NOT_STORED)
        over = _set(request, name, "", 0)
        try:
            session = self._sessions.begin(await self._flow.finish(signing_in, answer))
        except (InvalidCredentialError, IssuerAwayError, FetchError, TooLargeToKeepError) as error:
            return _not_signed_in(error, over)
        return _redirect(_own_path(signing_in.back), over, _set(request, SESSION, session, self._sessions.lifetime))

    def _leave(self, request: Request) -> Response:
        """End the session; the cookie is not sent with what other sites embed, so none of them can do it unseen."""
        after = self._after or "/"
        if _cookie(request, _name(request, SESSION)) is None:
            return _redirect(after)
        # The provider knows no paths of this host, but URLs that it was told of.
        back = _base(request) + after if self._after.startswith("/") else self._after
        return _redirect(self._flow.end(back) or after, _set(request, SESSION, "", 0))


def _base(request: Request) -> str:
    """The URL of this host, as the browser knows it."""
    return f"{request.scheme}://{request.host.decode('latin-1')}"


def _hide(request: Request) -> None:
    """Leave the gateway's cookies out of what stands behind, on every route: who has one could ask as its owner.

    Those of a sign-in are many where many pages are opened at once, and programs bear heads of 8 KiB.
    """
    if OURS in request.head.get(COOKIE, b""):
        names = _name(request, SESSION), _name(request, ON_THE_WAY)
        shown = [(own, _others(value, *names) if own == COOKIE else value) for own, value in request.fields]
        request.fields = [each for each in shown if each != (COOKIE, b"")]


def _others(cookies: bytes, session: bytes, on_the_way: bytes) -> bytes:
    named = ((each, each.strip().partition(b"=")[0]) for each in cookies.split(b";"))
    return b";".join(each for each, name in named if name != session and not name.startswith(on_the_way)).strip()


def _cookie(request: Request, name: bytes) -> str | None:
    found = request.head.get(COOKIE)
    if found is None or name not in found:
        return None
    for pair in found.split(b";"):
        own, _, value = pair.strip().partition(b"=")
        if own == name:
            return value.decode("latin-1")
    return None


def _name(request: Request, name: str) -> bytes:
    """How a cookie is called: over TLS so that browsers take it from this very host alone (RFC 6265bis, 4.1.3.2)."""
    return (f"__Host-{name}" if request.scheme == "https" else name).encode()


def _set(request: Request, name: str, value: str, seconds: float) -> Field:
    secure = b"; Secure" if request.scheme == "https" else b""
    text = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b"
    return b"set-cookie", text % (_name(request, name), value.encode(), int(seconds), secure)


def _own_path(path: str) -> str:
    """A path of this host: `//evil.example` and `/\\\\evil.example` would be another one."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") else "/"


def _redirect(where: str, *fields: Field) -> Response:
    return Response(303, b"", b"", [(b"location", where.encode("latin-1")), NOT_STORED, *fields])


def _not_signed_in(error: Exception, over: Field) -> Response:
    if isinstance(error, IssuerAwayError):
        return _away(error)
    if isinstance(error, InvalidCredentialError):
        return refused(401, str(error), NOT_STORED, over)
    logger.warning("somebody could not sign in: %s", error)
    if isinstance(error, FetchError):
        return refused(502, "the provider did not say who you are; open the page once more", NOT_STORED, over)
    return refused(500, "the provider says more of you than a cookie can hold", NOT_STORED, over)


def _away(error: IssuerAwayError) -> Response:
    return refused(503, str(error), (b"retry-after", b"5"), NOT_STORED)
