"""The tables of transactions, and every statement that reads or writes them.

Nobody else knows them. Who wants to know what was sold, or who used the promotion, asks by the contract.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    true,
    update,
)

metadata = MetaData()

# What makes the promotion a thing of once: whichever two orders of a customer are opened at the same time, by
# whatever way, the database takes one of them. One that failed used nothing; one that was refunded did.
_PROMOTED = text("buy_two_get_one_free_promo AND status <> 'failed'")

transactions = Table(
    "transactions",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("customer_id", Integer, nullable=False),
    Column("status", String(10), nullable=False),
    Column("name", String(120), nullable=False),
    Column("email", String(254), nullable=False),
    Column("address", JSON, nullable=False),
    Column("items", JSON, nullable=False),
    Column("copies", Integer, nullable=False),
    Column("discount", Integer, nullable=False),  # cents, as the total
    Column("total", Integer, nullable=False),
    Column("buy_two_get_one_free_promo", Boolean, nullable=False),
    Column("opened", DateTime(timezone=True), nullable=False),
    Column("day", Date, nullable=False, index=True),  # on which it was opened, by UTC
    Column("payment", JSON(none_as_null=True)),
    Index("transactions_of_customer", "customer_id", "opened"),
    Index(
        "promotion_once",
        "customer_id",
        unique=True,
        sqlite_where=_PROMOTED,
        postgresql_where=_PROMOTED,
    ),
)

_SHOWN = [column for column in transactions.c if column.name not in {"copies", "day"}]
_ORDER = transactions.c.order_id == bindparam("order_id")
_WANTED = transactions.c.order_id == bindparam("wanted")
_USED = and_(transactions.c.buy_two_get_one_free_promo == true(), transactions.c.status != "failed")

INSERT_ORDER = insert(transactions)
COUNT = select(func.count()).select_from(transactions)
ORDER = select(*_SHOWN).where(_ORDER)
ORDERS_OF = (
    select(*_SHOWN)
    .where(transactions.c.customer_id == bindparam("customer_id"), transactions.c.status != "failed")
    .order_by(transactions.c.opened.desc(), transactions.c.order_id)
    .limit(bindparam("most"))
    .offset(bindparam("skipped"))
)
PROMOTION_USED = select(transactions.c.order_id).where(transactions.c.customer_id == bindparam("customer_id"), _USED)
WHO_USED_PROMOTION = select(transactions.c.customer_id).where(
    transactions.c.customer_id.in_(bindparam("customer_ids", expanding=True)), _USED
)

# The status that an order must have is part of each change: a change that comes twice, or too late, changes nothing.
SETTLE = (
    update(transactions)
    .where(_WANTED, transactions.c.status == "open")
    .values(status="paid", payment=bindparam("made", type_=JSON))
)
MOVE = (
    update(transactions)
    .where(_WANTED, transactions.c.status.in_(bindparam("before", expanding=True)))
    .values(status=bindparam("after"))
)

_PROMO = transactions.c.buy_two_get_one_free_promo == true()
SALES = (
    select(
        transactions.c.day,
        func.count().label("orders"),
        func.sum(transactions.c.copies).label("copies"),
        func.sum(transactions.c.total).label("revenue"),
        func.sum(case((_PROMO, 1), else_=0)).label("promoted_orders"),
        func.sum(case((_PROMO, transactions.c.copies), else_=0)).label("promoted_copies"),
        func.sum(case((_PROMO, transactions.c.total), else_=0)).label("promoted_revenue"),
        func.sum(transactions.c.discount).label("discounts"),
    )
    .where(transactions.c.day >= bindparam("since"), transactions.c.status == "placed")
    .group_by(transactions.c.day)
    .order_by(transactions.c.day)
)
