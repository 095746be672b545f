"""Who the guests are and how they prove it."""

from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta
from sitekit.accounts.faults import EmailTaken, TooManyAttempts, WrongCredentials
from sitekit.accounts.fields import HASHING, Device, Password, TypedPassword
from sitekit.texts import Name

from meristem import Contract, Message, idempotent, once, operation, safe

# ASCII before the @: many mail servers take no letter to other names. A domain may have any letters.
Email = Annotated[str, Meta(pattern=r"^[!-?A-~]{1,64}@[^@\s.]+(\.[^@\s.]+)+$(?!\n)", max_length=254)]


class NewUser(Message):
    """Somebody who wants an account."""

    name: Name
    email: Email
    password: Password


class Credentials(Message):
    """What somebody signs in with.

    `device` is what an earlier session gave: with it nobody waits for what strangers guessed at their address.
    """

    email: Email
    password: TypedPassword
    device: Device = ""


class User(Message):
    """A customer."""

    user_id: UUID
    name: str
    email: str


class Session(Message):
    """Proof of a sign-in: send the token as `Authorization: Bearer`; keep `device` for the next sign-in."""

    token: str
    user: User
    expires: datetime
    device: str = ""


class Users(Contract, Protocol, package="hotels.users.v1"):
    """Keeps accounts and sessions."""

    @once(http="POST /users", status=201, raises=[EmailTaken], timeout=HASHING)
    async def sign_up(self, new: NewUser) -> User:
        """Open an account."""
        ...

    @idempotent(raises=[WrongCredentials, TooManyAttempts], timeout=HASHING)
    async def enroll(self, new: NewUser) -> User:
        """Open an account, or authenticate the one that has this e-mail address."""
        ...

    @operation(http="POST /sessions", status=201, raises=[WrongCredentials, TooManyAttempts], timeout=HASHING)
    async def sign_in(self, credentials: Credentials) -> Session:
        """Open a session."""
        ...

    @safe
    async def user(self, user_id: UUID) -> User | None:
        """The customer with this id."""
        ...

    @safe
    async def identify(self, token: str) -> User | None:
        """Whose session the token stands for; None when it is unknown or has expired."""
        ...

    @idempotent
    async def sign_out(self, token: str) -> None:
        """Close a session."""
        ...
