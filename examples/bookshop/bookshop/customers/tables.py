"""The tables of accounts and sessions, and every statement that reads or writes them."""

from __future__ import annotations

from sitekit.accounts import throttle
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("customer_id", Integer, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("email", String(254), nullable=False, unique=True),  # in small letters
    Column("offers", Boolean, nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
)

# A session is found by the digest of its token; who reads the table can't act as anybody.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("customer_id", Integer, ForeignKey("customers.customer_id"), nullable=False, index=True),
    Column("expires", DateTime(timezone=True), nullable=False, index=True),
)

failures = throttle.add_to(metadata)

_CUSTOMER = (customers.c.customer_id, customers.c.name, customers.c.email, customers.c.offers)

FIRST_CUSTOMER = 10_001  # smaller ids are those of readers whom the history of recommendations has made up

_GIVEN = ("name", "email", "offers", "password_hash", "created")
INSERT_CUSTOMER = (
    insert(customers)
    .from_select(
        ["customer_id", *_GIVEN],
        select(
            func.coalesce(func.max(customers.c.customer_id), FIRST_CUSTOMER - 1) + 1,
            *(bindparam(each, type_=customers.c[each].type).label(each) for each in _GIVEN),
        ),
    )
    .returning(customers.c.customer_id)
)
CUSTOMER = select(*_CUSTOMER).where(customers.c.customer_id == bindparam("customer_id"))
ACCOUNT = select(*_CUSTOMER, customers.c.password_hash).where(customers.c.email == bindparam("email"))
REPLACE_HASH = (
    update(customers).where(customers.c.customer_id == bindparam("wanted")).values(password_hash=bindparam("fresh"))
)
WANT_OFFERS = (
    update(customers)
    .where(customers.c.customer_id == bindparam("wanted"))
    .values(offers=bindparam("want"))
    .returning(*_CUSTOMER)
)
WHO_WANT_OFFERS = (
    select(*_CUSTOMER)
    .where(customers.c.offers == true(), customers.c.customer_id > bindparam("after"))
    .order_by(customers.c.customer_id)
    .limit(bindparam("most"))
)

INSERT_SESSION = insert(sessions)
SESSION = (
    select(*_CUSTOMER)
    .join_from(sessions, customers)
    .where(sessions.c.digest == bindparam("digest"), sessions.c.expires > bindparam("now"))
)
END_SESSION = delete(sessions).where(sessions.c.digest == bindparam("digest"))
END_EXPIRED = delete(sessions).where(sessions.c.expires <= bindparam("now"))
