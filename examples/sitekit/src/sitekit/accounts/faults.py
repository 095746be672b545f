"""What signing in and up is refused for; the contracts of both sites declare it."""

from __future__ import annotations

from meristem import Code, Fault


class EmailTaken(Fault, code=Code.ALREADY_EXISTS):
    """An account with this e-mail address exists already; sign in instead."""

    email: str


class WrongCredentials(Fault, code=Code.UNAUTHENTICATED):
    """The e-mail address or the password is wrong."""


class TooManyAttempts(Fault, code=Code.RESOURCE_EXHAUSTED):
    """There were too many wrong passwords for this address; wait so many seconds, and then try again."""

    wait: int
