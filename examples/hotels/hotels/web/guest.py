"""Who the visitor is, and how calls are made in their name."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import msgspec
from quart import Quart, current_app, g, redirect, request, session, url_for

from hotels.contracts.users import Session, User, Users
from meristem import CallError, Identity, current
from meristem.context import using

P = ParamSpec("P")
R = TypeVar("R")


async def recognise() -> None:
    """Find out whose session the cookie's token stands for.

    When that cannot be known just now, pages that need no sign-in still work, the others say so.
    """
    g.user, g.unrecognised = None, None
    token = session.get("token")
    if token is None or request.endpoint == "static":
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
        if g.unrecognised is not None:
            raise g.unrecognised
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
