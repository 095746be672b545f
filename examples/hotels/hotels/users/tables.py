"""The tables of accounts and sessions, and every statement that reads or writes them."""

from __future__ import annotations

from sitekit.accounts import throttle
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    insert,
    select,
    update,
)

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("email", String(254), nullable=False, unique=True),  # normalised: see hotels.addresses
    Column("password_hash", String(200), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
)

# A session is found by the digest of its token; who reads the table can't act as anybody.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("expires", DateTime(timezone=True), nullable=False, index=True),
)

failures = throttle.add_to(metadata)

INSERT_USER = insert(users)
ACCOUNT = select(users.c.user_id, users.c.name, users.c.email, users.c.password_hash).where(
    users.c.email == bindparam("email")
)
USER = select(users.c.user_id, users.c.name, users.c.email).where(users.c.user_id == bindparam("user_id"))
REPLACE_HASH = update(users).where(users.c.user_id == bindparam("wanted")).values(password_hash=bindparam("fresh"))

INSERT_SESSION = insert(sessions)
SESSION = (
    select(users.c.user_id, users.c.name, users.c.email, sessions.c.expires)
    .join_from(sessions, users)
    .where(sessions.c.digest == bindparam("digest"), sessions.c.expires > bindparam("now"))
)
PROLONG_SESSION = update(sessions).where(sessions.c.digest == bindparam("wanted")).values(expires=bindparam("until"))
END_SESSION = delete(sessions).where(sessions.c.digest == bindparam("digest"))
END_EXPIRED = delete(sessions).where(sessions.c.expires <= bindparam("now"))
