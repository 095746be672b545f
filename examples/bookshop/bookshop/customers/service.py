"""Opens accounts, and tells who somebody is."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from bookshop.contracts.customers import (
    Credentials,
    Customer,
    Customers,
    EmailTaken,
    NewCustomer,
    Session,
    TooManyAttempts,
    WrongCredentials,
)
from bookshop.customers import tables
from bookshop.customers.passwords import Passwords
from bookshop.customers.settings import CustomersSettings
from meristem import CallError, Clock, Code, Database, IntegrityViolation, Message, Service, current, every


class Account(Message):
    """A customer with the hash of their password, and the wrong ones that were tried of late."""

    customer_id: int
    name: str
    email: str
    offers: bool
    password_hash: str
    failures: int
    wait_until: datetime | None

    def customer(self) -> Customer:
        """The customer as others know them."""
        return Customer(customer_id=self.customer_id, name=self.name, email=self.email, offers=self.offers)


@final
@dataclass
class CustomersService(Customers, Service, tables=tables.metadata, provides=[Passwords]):
    """Accounts by e-mail address; sessions by a token that only its holder knows."""

    passwords: Passwords
    database: Database
    settings: CustomersSettings
    clock: Clock

    async def sign_up(self, new: NewCustomer) -> Customer:
        email = new.email.lower()
        if await self._account(email) is not None:
            raise EmailTaken(email=email)
        row = {
            "name": new.name.strip(),
            "email": email,
            "offers": new.offers,
            "password_hash": await self.passwords.hash(new.password),
            "created": self.clock.now(),
        }
        try:
            async with self.database.begin() as tx:
                customer_id: int = await tx.fetch_value(tables.INSERT_CUSTOMER, row)
        except IntegrityViolation:  # somebody opened it at the same moment
            raise EmailTaken(email=email) from None
        return Customer(customer_id=customer_id, name=new.name.strip(), email=email, offers=new.offers)

    async def sign_in(self, credentials: Credentials) -> Session:
        account = await self._admitted(credentials.email.lower())
        kept = None if account is None else account.password_hash
        if not await self.passwords.is_right(credentials.password, kept) or account is None:
            raise WrongCredentials
        token = secrets.token_urlsafe(32)
        expires = self.clock.now() + timedelta(days=self.settings.session_days)
        async with self.database.begin() as tx:
            tx.defer(tables.FORGET_FAILURES, {"wanted": account.customer_id})
            row = {"digest": _digest(token), "customer_id": account.customer_id, "expires": expires}
            await tx.execute(tables.INSERT_SESSION, row)
        return Session(token=token, customer=account.customer(), expires=expires)

    async def sign_out(self, token: str) -> None:
        await self.database.execute(tables.END_SESSION, {"digest": _digest(token)})

    async def identify(self, token: str) -> Customer | None:
        asked = {"digest": _digest(token), "now": self.clock.now()}
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
        """Drop the sessions that are over."""
        await self.database.execute(tables.END_EXPIRED, {"now": self.clock.now()})

    async def _account(self, email: str) -> Account | None:
        return await self.database.fetch_one(tables.ACCOUNT, {"email": email}, into=Account)

    async def _admitted(self, email: str) -> Account | None:
        """The account, unless it has to be left alone for a while.

        An attempt counts as a wrong one before its password is looked at, so many at a time are no way around the
        pauses; each beyond the free ones makes the next pause twice as long, and the right password forgets them all.
        """
        while (account := await self._account(email)) is not None:
            now = self.clock.now()
            if account.wait_until is not None and now < account.wait_until:
                raise TooManyAttempts(wait=math.ceil((account.wait_until - now).total_seconds()))
            beyond = account.failures + 1 - self.settings.free_failures
            pause = min(2.0 ** min(beyond, 30), self.settings.longest_pause) if beyond >= 0 else 0.0
            until = now + timedelta(seconds=pause) if pause else None
            attempt = {"wanted": account.customer_id, "seen": account.failures, "until": until}
            if (await self.database.execute(tables.COUNT_ATTEMPT, attempt)).rowcount:
                return account
        return None


def _digest(token: str) -> str:
    """What is kept of a session's token; 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()
