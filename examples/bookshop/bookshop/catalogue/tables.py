"""The table of books, and every statement that reads or writes it."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
)

MOST_WORDS = 8

metadata = MetaData()

books = Table(
    "books",
    metadata,
    Column("book_id", Integer, primary_key=True, autoincrement=False),
    Column("title", String(200), nullable=False),
    Column("author", String(120), nullable=False),
    Column("category", String(20), nullable=False),
    Column("year", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("price", Integer, nullable=False),
    Column("blurb", Text, nullable=False),
    Column("cover", String(20), nullable=False),
    Column("sorted_by", String(200), nullable=False, index=True),
    Column("headline", String(400), nullable=False),  # the words of title and author
    Column("words", Text, nullable=False),  # and of the description
)

_SHOWN = [column for column in books.c if column.name not in {"sorted_by", "headline", "words"}]
_WORDS = [f"word{number}" for number in range(MOST_WORDS)]
_FOUND = and_(
    books.c.category.like(bindparam("shelf")),
    *(books.c.words.like(bindparam(word)) for word in _WORDS),
)
_FIRST = case((and_(*(books.c.headline.like(bindparam(word)) for word in _WORDS)), 0), else_=1)

INSERT_BOOK = insert(books)
BOOK_IDS = select(books.c.book_id)
BOOK = select(*_SHOWN).where(books.c.book_id == bindparam("book_id"))
BOOKS = select(*_SHOWN).where(books.c.book_id.in_(bindparam("book_ids", expanding=True)))
SEARCH = (
    select(*_SHOWN)
    .where(_FOUND)
    .order_by(_FIRST, books.c.sorted_by, books.c.book_id)
    .limit(bindparam("most"))
    .offset(bindparam("skipped"))
)
COUNT = select(func.count()).select_from(books).where(_FOUND)


def patterns(words: list[str]) -> dict[str, str]:
    """The values of a search for words that begin so; a word that is not asked for is any."""
    asked = [f"% {word}%" for word in words[:MOST_WORDS]]
    return dict(zip(_WORDS, [*asked, *["%"] * (MOST_WORDS - len(asked))], strict=True))
