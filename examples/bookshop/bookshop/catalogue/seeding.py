"""Fills the catalogue from `books.toml` at the first start; a book that the file has since gained is added."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from bookshop.catalogue import tables
from bookshop.catalogue.folding import folded, words
from bookshop.catalogue.rows import BookRow
from bookshop.contracts.catalogue import BookListed
from meristem import Database

FILE = Path(__file__).with_name("books.toml")
ARTICLES = {"a", "an", "the"}


def entries() -> list[BookRow]:
    """The books of the file."""
    return msgspec.convert(tomllib.loads(FILE.read_text("utf-8"))["book"], list[BookRow])


async def seed(database: Database) -> None:
    """Enter the books that are missing and tell everybody, both or neither."""
    listed = set(await database.fetch_all(tables.BOOK_IDS, into=int))
    missing = [each for each in entries() if each.book_id not in listed]
    if not missing:
        return
    async with database.begin() as tx:
        await tx.execute(tables.INSERT_BOOK, [_columns(each) for each in missing])
        for each in missing:
            await tx.publish(BookListed(book_id=each.book_id, book=each.book()))


def _columns(entry: BookRow) -> dict[str, Any]:
    title = words(entry.title)
    return {
        **msgspec.structs.asdict(entry),
        "category": entry.category.value,
        "sorted_by": " ".join(title[1:] if title[0] in ARTICLES else title),
        "headline": folded(entry.title, entry.author),
        "words": folded(entry.title, entry.author, entry.blurb),
    }
