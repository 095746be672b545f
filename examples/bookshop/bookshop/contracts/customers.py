"""Who the customers are and how they prove it."""

from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta
from sitekit.accounts.faults import EmailTaken, TooManyAttempts, WrongCredentials
from sitekit.accounts.fields import HASHING, Device, Password, TypedPassword
from sitekit.texts import Name

from bookshop.contracts.items import CustomerId
from meristem import Contract, Message, idempotent, once, operation, safe

# ASCII, and dots between atoms alone (RFC 5322): any mail server takes letters to such an address.
_ATOM = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+"
Email = Annotated[str, Meta(pattern=rf"^{_ATOM}(\.{_ATOM})*@[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+$(?!\n)", max_length=254)]


class NewCustomer(Message):
    """Somebody who wants an account; `offers` says whether they want mails about promotions."""

    name: Name
    email: Email
    password: Password
    offers: bool = False


class Credentials(Message):
    """What somebody signs in with.

    `device` is what an earlier session gave: with it nobody waits for what strangers guessed at their address.
    """

    email: Email
    password: TypedPassword
    device: Device = ""


class Customer(Message):
    """A customer."""

    customer_id: CustomerId
    name: str
    email: str
    offers: bool


class Session(Message):
    """Proof of a sign-in: send the token as `Authorization: Bearer`; keep `device` for the next sign-in."""

    token: str
    customer: Customer
    expires: datetime
    device: str = ""


class Customers(Contract, Protocol, package="bookshop.customers.v1"):
    """Keeps accounts and sessions."""

    @once(http="POST /customers", status=201, raises=[EmailTaken], timeout=HASHING)
    async def sign_up(self, new: NewCustomer) -> Customer:
        """Open an account."""
        ...

    @operation(http="POST /sessions", status=201, raises=[WrongCredentials, TooManyAttempts], timeout=HASHING)
    async def sign_in(self, credentials: Credentials) -> Session:
        """Open a session."""
        ...

    @idempotent
    async def sign_out(self, token: str) -> None:
        """Close a session."""
        ...

    @safe
    async def identify(self, token: str) -> Customer | None:
        """Whose session the token stands for; None when it is unknown or has expired."""
        ...

    @safe
    async def customer(self, customer_id: CustomerId) -> Customer | None:
        """The customer with this id."""
        ...

    @idempotent(http="PUT /customers/me/offers", authenticated=True)
    async def want_offers(self, offers: bool) -> Customer:
        """Say whether you want mails about promotions."""
        ...

    @safe
    async def who_want_offers(
        self, after: Annotated[int, Meta(ge=0)] = 0, limit: Annotated[int, Meta(ge=1, le=500)] = 100
    ) -> list[Customer]:
        """The next customers by id who want mails about promotions."""
        ...
