"""Who the visitor is, and how calls are made in their name."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import msgspec
from quart import Quart, current_app, g, redirect, request, session, url_for
from quart.wrappers import Response

from hotels.contracts.users import Credentials, NewUser, Session, TooManyAttempts, User, Users, WrongCredentials
from meristem import CallError, Identity, current
from meristem.context import using

P = ParamSpec("P")
R = TypeVar("R")

DEVICE, DEVICE_AGE = "lamplight-device", 365 * 86400
GLANCE = 1.0  # seconds that a page waits at most for a part that it can do without


async def recognise() -> None:
    """Find out whose session the cookie's token stands for.

    When that cannot be known at a glance, pages that need no sign-in still work, the others ask once more.
    """
    g.user, g.unrecognised = None, None
    if request.endpoint != "static":
        with within(GLANCE):
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
        g.user = await Users.client().identify(token)
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
    user: User | None = g.user
    identity = None if user is None else Identity(subject=str(user.user_id), name=user.name)
    with using(msgspec.structs.replace(current(), user=identity, key=key, keys=None)):
        yield


def signed_in(page: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Show a page to guests who are signed in; send others to sign in first and then back."""

    @wraps(page)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        await insist()
        if g.user is None:
            return redirect(url_for("account.sign_in", next=request.full_path.rstrip("?")), 303)  # type: ignore[return-value]
        return await page(*args, **kwargs)

    return guarded


def welcome(opened: Session) -> None:
    """Keep a new session in the cookie; what was there before is dropped, so that nobody can plant a session."""
    session.clear()
    session.permanent = True
    session["token"] = opened.token
    g.user = opened.user
    g.device = opened.device


def device() -> str:
    """What tells that the visitor has signed in from this browser before."""
    return request.cookies.get(DEVICE, "")[:64]


async def remember(response: Response) -> Response:
    """Let the browser of somebody who signs in know itself, also when they have signed out again."""
    if g.get("device"):
        response.set_cookie(
            DEVICE, g.device, max_age=DEVICE_AGE, httponly=True, samesite="Lax", secure=request.is_secure
        )
    return response


async def enter(new: NewUser) -> bool:
    """Sign in somebody whose account a booking has opened; False if that does not work just now."""
    try:
        welcome(await Users.client().sign_in(Credentials(email=new.email, password=new.password, device=device())))
    except (CallError, WrongCredentials, TooManyAttempts) as error:
        current_app.logger.warning("an account was opened, but not signed in: %s", error)
        return False
    return True


def local_path(address: str | None) -> str | None:
    """The address if it leads to a page of this site, else None."""
    if not address or not address.startswith("/") or address.startswith("//") or "\\" in address:
        return None
    parts = urlsplit(address)
    printable = all(" " < character < "\x7f" for character in address)
    return address if printable and not parts.scheme and not parts.netloc else None


def install(app: Quart) -> None:
    """Teach the templates `guest()`: the user who is signed in, or None."""
    app.jinja_env.globals["guest"] = lambda: g.get("user")
