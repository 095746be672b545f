"""Opens accounts, and tells who somebody is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, final

from sitekit.accounts.authentication import Authentication
from sitekit.accounts.passwords import Passwords
from sitekit.accounts.strength import refuse_weak
from sitekit.accounts.throttle import Throttle
from sitekit.accounts.tokens import device_of, digest, new_token

from bookshop.contracts.customers import (
    Credentials,
    Customer,
    Customers,
    EmailTaken,
    NewCustomer,
    Session,
    WrongCredentials,
)
from bookshop.customers import tables
from bookshop.customers.settings import CustomersSettings
from meristem import CallError, Clock, Code, Database, IntegrityViolation, Message, Service, current, every

SITE = ("book", "books", "bookshop", "online", "reader")  # words that are guessed first here


class Account(Message):
    """A customer with the hash of their password."""

    customer_id: int
    name: str
    email: str
    offers: bool
    password_hash: str

    def customer(self) -> Customer:
        """The customer as others know them."""
        return Customer(customer_id=self.customer_id, name=self.name, email=self.email, offers=self.offers)


@final
@dataclass
class CustomersService(Customers, Service, tables=tables.metadata, provides=[Passwords, Throttle, Authentication]):
    """Accounts by e-mail address; sessions by a token that only its holder knows."""

    authentication: Authentication
    database: Database
    settings: CustomersSettings
    clock: Clock

    async def sign_up(self, new: NewCustomer) -> Customer:
        email = new.email.lower()
        if await self._account(email) is not None:
            raise EmailTaken(email=email)
        refuse_weak(new.password, new.name, email, SITE)
        row = {
            "name": new.name.strip(),
            "email": email,
            "offers": new.offers,
            "password_hash": await self.authentication.passwords.hash(new.password),
            "created": self.clock.now(),
        }
        customer_id = await self._enter(row)
        return Customer(customer_id=customer_id, name=new.name.strip(), email=email, offers=new.offers)

    async def _enter(self, row: dict[str, Any]) -> int:
        """Enter an account under the next number; raises EmailTaken where somebody opened it at the same moment."""
        while True:
            try:
                async with self.database.begin() as tx:
                    customer_id: int = await tx.fetch_value(tables.INSERT_CUSTOMER, row)
            except IntegrityViolation as error:
                if error.kind != "unique":
                    raise
                if await self._account(row["email"]) is not None:
                    raise EmailTaken(email=row["email"]) from None
                # A database server lets two look for the highest number at once: the other one has it now.
            else:
                return customer_id

    async def sign_in(self, credentials: Credentials) -> Session:
        email = credentials.email.lower()
        account = await self._account(email)
        kept = None if account is None else account.password_hash
        proved = await self.authentication.prove(email, kept, credentials.password, credentials.device)
        if account is None:  # for the type checker: nothing proves an account that isn't there
            raise WrongCredentials
        token = new_token()
        expires = self.clock.now() + timedelta(days=self.settings.session_days)
        async with self.database.begin() as tx:
            if proved != kept:
                tx.defer(tables.REPLACE_HASH, {"wanted": account.customer_id, "fresh": proved})
            row = {"digest": digest(token), "customer_id": account.customer_id, "expires": expires}
            await tx.execute(tables.INSERT_SESSION, row)
        return Session(token=token, customer=account.customer(), expires=expires, device=device_of(proved))

    async def sign_out(self, token: str) -> None:
        await self.database.execute(tables.END_SESSION, {"digest": digest(token)})

    async def identify(self, token: str) -> Customer | None:
        asked = {"digest": digest(token), "now": self.clock.now()}
        return await self.database.fetch_one(tables.SESSION, asked, into=Customer)

    async def customer(self, customer_id: int) -> Customer | None:
        return await self.database.fetch_one(tables.CUSTOMER, {"customer_id": customer_id}, into=Customer)

    async def want_offers(self, offers: bool) -> Customer:
        identity = current().user
        wanted = {"wanted": 0 if identity is None else int(identity.subject), "want": offers}
        async with self.database.begin() as tx:
            found = await tx.fetch_one(tables.WANT_OFFERS, wanted, into=Customer)
        if found is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first", may_have_happened=False)
        return found

    async def who_want_offers(self, after: int = 0, limit: int = 100) -> list[Customer]:
        return await self.database.fetch_all(tables.WHO_WANT_OFFERS, {"after": after, "most": limit}, into=Customer)

    @every(seconds=3600.0)
    async def forget_expired(self) -> None:
        """Drop the sessions that are over, and the failures that slow down nobody."""
        await self.database.execute(tables.END_EXPIRED, {"now": self.clock.now()})
        await self.authentication.throttle.forget_old()

    async def _account(self, email: str) -> Account | None:
        return await self.database.fetch_one(tables.ACCOUNT, {"email": email}, into=Account)
