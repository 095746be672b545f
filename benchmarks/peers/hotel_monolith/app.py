"""The application; PORT, FOLDER, BANK_URL, PARTNER_URL and SMTP_URL are in the environment."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
from argon2 import PasswordHasher
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from sqlalchemy import select

from benchmarks.peers.asgi import run
from benchmarks.peers.hotel_monolith.booking import Bookings
from benchmarks.peers.hotel_monolith.searching import find
from benchmarks.peers.hotel_monolith.shapes import (
    BookingRequest,
    BookingShape,
    Credentials,
    Guests,
    NewUser,
    Nights,
    Offers,
    SessionShape,
    UserShape,
)
from benchmarks.peers.hotel_monolith.store import Store
from benchmarks.peers.hotel_monolith.tables import Session, User
from benchmarks.peers.hotel_monolith.worker import Worker


class Site:
    """What one running application holds."""

    def __init__(self) -> None:
        self.store = Store(Path(os.environ["FOLDER"]) / "monolith.db")
        self.http = httpx.AsyncClient(timeout=5.0)
        self.partner = os.environ["PARTNER_URL"]
        self.worker = Worker(self.store, os.environ["SMTP_URL"])
        self.bookings = Bookings(self.store, self.http, os.environ["BANK_URL"], self.worker)
        self.hasher = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


def create_app() -> FastAPI:
    site = Site()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await site.store.prepare(int(os.environ.get("HOTELS", "500")))
        await site.bookings.recover()
        await site.worker.start()
        yield
        await site.worker.stop()
        await site.http.aclose()
        await site.store.close()

    app = FastAPI(title="Hotels", lifespan=lifespan)

    async def signed_in(authorization: Annotated[str, Header()] = "") -> User:
        digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
        whose = select(User).join(Session, Session.user_id == User.user_id)
        async with site.store.reading() as session:
            now = datetime.now(UTC)
            user = await session.scalar(whose.where(Session.digest == digest, Session.expires > now))
        if user is None:
            raise HTTPException(401, "Sign in first.")
        return user

    @app.get("/api/hotels")
    async def search(
        city: Annotated[str, Query(min_length=1, max_length=80)],
        arrival: date,
        nights: Nights = 1,
        guests: Guests = 2,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Offers:
        return await find(site.store, site.http, site.partner, city, arrival, nights, guests, limit)

    @app.post("/api/users", status_code=201)
    async def sign_up(new: NewUser) -> UserShape:
        password_hash = await asyncio.to_thread(site.hasher.hash, new.password)
        user = User(user_id=uuid4(), name=new.name, email=new.email, password_hash=password_hash)
        async with site.store.writing() as session:
            session.add(user)
        return UserShape(user_id=user.user_id, name=user.name, email=user.email)

    @app.post("/api/sessions", status_code=201)
    async def sign_in(credentials: Credentials) -> SessionShape:
        async with site.store.reading() as session:
            user = await session.scalar(select(User).where(User.email == credentials.email))
        if user is None:
            raise HTTPException(401, "The e-mail address or the password is wrong.")
        await asyncio.to_thread(site.hasher.verify, user.password_hash, credentials.password)
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        async with site.store.writing() as session:
            session.add(Session(digest=digest, user_id=user.user_id, expires=datetime.now(UTC) + timedelta(days=14)))
        shown = UserShape(user_id=user.user_id, name=user.name, email=user.email)
        return SessionShape(token=token, user=shown)

    @app.post("/api/bookings", status_code=201, response_model=BookingShape)
    async def book(
        request: BookingRequest,
        idempotency_key: Annotated[str, Header(min_length=1, max_length=200)],
        user: User = Depends(signed_in),  # noqa: B008 - a local function cannot be named in an annotation
    ) -> dict[str, Any]:
        return await site.bookings.book(request, user, idempotency_key)

    return app


if __name__ == "__main__":
    run(create_app())
