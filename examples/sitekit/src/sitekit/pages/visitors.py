"""Who the visitor is, how calls are made in their name, and how long a page waits for what it can do without."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import msgspec
from quart import Quart, current_app, g, redirect, request, session, url_for
from quart.wrappers import Response

from meristem import CallError, current
from meristem.context import using
from sitekit.pages.assets import FOLDERS
from sitekit.pages.site import this_site

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

DEVICE_AGE = 365 * 86400  # seconds


def patience() -> float:
    """How many seconds a page waits at most for a part that it can do without."""
    return this_site().patience


async def recognise() -> None:
    """Find out whose session the cookie's token stands for: `g.user`, or None.

    When that cannot be known at a glance, pages that need no sign-in still work, the others ask once more.
    """
    g.user, g.unrecognised = None, None
    if request.endpoint not in FOLDERS:
        with within(patience()):
            await _recognise()


async def insist() -> None:
    """Find out who the visitor is, in all the time that a call has; raises CallError when that cannot be known."""
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
        g.user = await this_site().identify(token)
    except CallError as error:
        current_app.logger.warning("cannot tell who is signed in: %s", error)
        g.unrecognised = error
        return
    if g.user is None:
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
    """Make the calls of a block in the visitor's name; `key` makes a `@once` call happen once."""
    identity = None if g.user is None else this_site().identity(g.user)
    with using(msgspec.structs.replace(current(), user=identity, key=key, keys=None)):
        yield


async def glance(ask: Callable[[], Awaitable[T]], otherwise: T) -> T:
    """What a call in the visitor's name answers, or `otherwise` when it takes longer than a page would wait for it."""
    try:
        with within(patience()), acting():
            return await ask()
    except CallError as error:
        current_app.logger.warning("%s is shown without a part: %s", request.path, error)
        return otherwise


def signed_in(page: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Show a page to who is signed in; send others to sign in first and then back."""

    @wraps(page)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        await insist()
        return to_sign_in() if g.user is None else await page(*args, **kwargs)  # type: ignore[return-value]

    return guarded


def to_sign_in() -> Response:
    """Lead to the page of signing in, and back from there to a page that was asked for; a form is not sent again."""
    back = request.full_path.rstrip("?") if request.method in ("GET", "HEAD") else None
    return leads_to(url_for(this_site().sign_in, next=back))


def welcome(user: Any, token: str, device: str, keep: tuple[str, ...] = ()) -> None:
    """Begin a session in the cookie; of what was there before nothing stays but `keep`: nobody can plant a session."""
    kept = {name: session[name] for name in keep if name in session}
    session.clear()
    session.permanent = True
    session.update(kept, token=token)
    g.user, g.device = user, device


def device() -> str:
    """What tells that the visitor has signed in from this browser before."""
    return request.cookies.get(_device_cookie(), "")[:64]


def _device_cookie() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}-device"


async def remember(response: Response) -> Response:
    """Let the browser of somebody who signs in know itself, also when they have signed out again."""
    if g.get("device"):
        response.set_cookie(
            _device_cookie(), g.device, max_age=DEVICE_AGE, httponly=True, samesite="Lax", secure=request.is_secure
        )
    return response


def local_path(address: str | None) -> str | None:
    """The address if it leads to a page of this site, else None."""
    if not address or not address.startswith("/") or address.startswith("//") or "\\" in address:
        return None
    parts = urlsplit(address)
    printable = all(" " < character < "\x7f" for character in address)
    return address if printable and not parts.scheme and not parts.netloc else None


def leads_to(address: str) -> Response:
    """Answer a form by a page that can be loaded again."""
    return redirect(address, 303)  # type: ignore[return-value]


def install(app: Quart) -> None:
    """Teach the templates `user()`: who is signed in, or None."""
    app.jinja_env.globals["user"] = lambda: g.get("user")
