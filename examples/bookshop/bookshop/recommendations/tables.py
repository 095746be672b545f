"""What is known of books and of who bought them, the models that were trained on it, and every statement of these."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    update,
)

metadata = MetaData()

books = Table(
    "books",
    metadata,
    Column("book_id", Integer, primary_key=True, autoincrement=False),
    Column("title", String(200), nullable=False),
    Column("category", Integer, nullable=False),
)

# How many orders of a customer have a book; of 0 are those that were all sent back.
purchases = Table(
    "purchases",
    metadata,
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("book_id", Integer, primary_key=True, autoincrement=False),
    Column("orders", Integer, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("trained", DateTime(timezone=True), nullable=False),
    Column("purchases", Integer, nullable=False),  # that there were
    Column("hit_rate", Float, nullable=False),
    Column("most_sold_rate", Float, nullable=False),
    Column("model", LargeBinary, nullable=False),
)

BOOKS = select(books.c.book_id, books.c.title, books.c.category).order_by(books.c.book_id)
LIST = insert(books)
CHANGE_ENTRY = (
    update(books)
    .where(books.c.book_id == bindparam("wanted"))
    .values(title=bindparam("called"), category=bindparam("shelf", type_=Integer))
)

BOUGHT = select(purchases.c.book_id).where(purchases.c.customer_id == bindparam("customer_id"), purchases.c.orders > 0)
SOLD = (
    select(purchases.c.book_id, func.count().label("customers"))
    .where(purchases.c.orders > 0)
    .group_by(purchases.c.book_id)
    .order_by(purchases.c.book_id)
)
PURCHASES = (
    select(purchases.c.customer_id, purchases.c.book_id)
    .where(
        purchases.c.orders > 0,
        tuple_(purchases.c.customer_id, purchases.c.book_id)
        > tuple_(bindparam("customer_id", type_=Integer), bindparam("book_id", type_=Integer)),
    )
    .order_by(purchases.c.customer_id, purchases.c.book_id)
    .limit(bindparam("most"))
)
HOW_MANY = select(func.coalesce(func.sum(purchases.c.orders), 0))
BUY = insert(purchases)
# Two statements that every database understands, in place of each one's own "upsert". SQLite wants the WHERE.
OPEN_PURCHASE = insert(purchases).from_select(
    ["customer_id", "book_id", "orders"],
    select(
        bindparam("customer_id", type_=Integer).label("customer_id"),
        bindparam("book_id", type_=Integer).label("book_id"),
        literal(0),
    )
    .where(true())
    .suffix_with("ON CONFLICT DO NOTHING"),
)
COUNT_ORDER = (
    update(purchases)
    .where(purchases.c.customer_id == bindparam("buyer"), purchases.c.book_id == bindparam("bought"))
    .values(orders=purchases.c.orders + bindparam("change", type_=Integer))
)

LAST_TRAINED = select(models.c.trained, models.c.purchases).order_by(models.c.version.desc()).limit(1)
NEWER_MODEL = (
    select(models.c.version, models.c.model)
    .where(models.c.version > bindparam("known"), models.c.hit_rate >= models.c.most_sold_rate)
    .order_by(models.c.version.desc())
    .limit(1)
)
KEEP_MODEL = insert(models).returning(models.c.version)
FORGET_MODELS = delete(models).where(models.c.version < bindparam("first"))
