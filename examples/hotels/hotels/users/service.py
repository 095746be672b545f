"""Opens accounts, and tells who somebody is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import final
from uuid import UUID, uuid4

import msgspec
from sitekit.accounts.authentication import Authentication
from sitekit.accounts.passwords import Passwords
from sitekit.accounts.strength import refuse_weak
from sitekit.accounts.throttle import Throttle
from sitekit.accounts.tokens import device_of, digest, new_token

from hotels.addresses import spelled
from hotels.contracts.users import Credentials, EmailTaken, NewUser, Session, User, Users, WrongCredentials
from hotels.stays import refused
from hotels.users import tables
from hotels.users.settings import UsersSettings
from meristem import Clock, Database, IntegrityViolation, Message, Service, every

SITE = ("lamplight", "hotel", "hotels", "booking")  # words that are guessed first here


class Account(Message):
    """A customer with the hash of their password."""

    user_id: UUID
    name: str
    email: str
    password_hash: str

    def user(self) -> User:
        """The customer as others know them."""
        return User(user_id=self.user_id, name=self.name, email=self.email)


class OpenSession(Message):
    """A session with its owner."""

    user_id: UUID
    name: str
    email: str
    expires: datetime


@final
class UsersService(Users, Service, tables=tables.metadata, provides=[Passwords, Throttle, Authentication]):
    """Accounts by e-mail address; sessions by a token that only its holder knows."""

    def __init__(
        self, authentication: Authentication, database: Database, settings: UsersSettings, clock: Clock
    ) -> None:
        self.authentication = authentication
        self.database = database
        self.clock = clock
        self.lifetime = timedelta(days=settings.session_days)

    async def sign_up(self, new: NewUser) -> User:
        email = address(new.email)
        opened = await self._open(new, email) if await self._account(email) is None else None
        if opened is None:
            raise EmailTaken(email=email)
        return opened

    async def enroll(self, new: NewUser) -> User:
        email = address(new.email)
        account = await self._account(email)
        if account is None:
            opened = await self._open(new, email)
            if opened is not None:
                return opened
            account = await self._account(email)  # somebody opened it at the same moment
        return (await self._authenticate(email, account, new.password)).user()

    async def sign_in(self, credentials: Credentials) -> Session:
        email = address(credentials.email)
        account = await self._account(email)
        account = await self._authenticate(email, account, credentials.password, credentials.device)
        token = new_token()
        expires = self.clock.now() + self.lifetime
        row = {"digest": digest(token), "user_id": account.user_id, "expires": expires}
        async with self.database.begin() as tx:
            await tx.execute(tables.INSERT_SESSION, row)
        return Session(token=token, user=account.user(), expires=expires, device=device_of(account.password_hash))

    async def user(self, user_id: UUID) -> User | None:
        return await self.database.fetch_one(tables.USER, {"user_id": user_id}, into=User)

    async def identify(self, token: str) -> User | None:
        now = self.clock.now()
        asked = {"digest": digest(token), "now": now}
        session = await self.database.fetch_one(tables.SESSION, asked, into=OpenSession)
        if session is None:
            return None
        if session.expires - now < self.lifetime * 0.9:  # not at every call: a read stays a read, mostly
            async with self.database.begin() as tx:
                await tx.execute(tables.PROLONG_SESSION, {"wanted": asked["digest"], "until": now + self.lifetime})
        return User(user_id=session.user_id, name=session.name, email=session.email)

    async def sign_out(self, token: str) -> None:
        async with self.database.begin() as tx:
            await tx.execute(tables.END_SESSION, {"digest": digest(token)})

    @every(seconds=3600.0)
    async def forget_expired(self) -> None:
        """Drop the sessions that nobody used any more, and the failures that slow down nobody."""
        async with self.database.begin() as tx:
            await tx.execute(tables.END_EXPIRED, {"now": self.clock.now()})
            await self.authentication.throttle.forget_old()

    async def _account(self, email: str) -> Account | None:
        return await self.database.fetch_one(tables.ACCOUNT, {"email": email}, into=Account)

    async def _open(self, new: NewUser, email: str) -> User | None:
        """Open an account; None when the address is taken already. Refuses a password that is guessed soon."""
        refuse_weak(new.password, new.name, email, SITE)
        user = User(user_id=uuid4(), name=new.name.strip(), email=email)
        password_hash = await self.authentication.passwords.hash(new.password)
        row = {"user_id": user.user_id, "name": user.name, "email": user.email, "created": self.clock.now()}
        try:
            async with self.database.begin() as tx:
                await tx.execute(tables.INSERT_USER, {**row, "password_hash": password_hash})
        except IntegrityViolation:
            return None
        return user

    async def _authenticate(self, email: str, account: Account | None, password: str, device: str = "") -> Account:
        kept = account.password_hash if account else None
        proved = await self.authentication.prove(email, kept, password, device)
        if account is None:  # for the type checker: nothing proves an account that isn't there
            raise WrongCredentials
        if proved != kept:
            async with self.database.begin() as tx:
                await tx.execute(tables.REPLACE_HASH, {"wanted": account.user_id, "fresh": proved})
        return msgspec.structs.replace(account, password_hash=proved)


def address(email: str) -> str:
    """The one spelling of an address; raises CallError for one that no letter could be sent to."""
    try:
        return spelled(email)
    except ValueError:
        raise refused("email", "This is no e-mail address; it should look like name@example.com.") from None
