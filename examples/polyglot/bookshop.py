"""A bookshop in four languages: its page is PHP, its tariff Node.js, its ratings Java. `meristem run bookshop.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from meristem import (
    CallError,
    Code,
    Contract,
    Fault,
    Message,
    Program,
    Service,
    Settings,
    System,
    current,
    safe,
)

T = TypeVar("T")

# What the services may know of one another


class NoSuchBook(Fault, code=Code.NOT_FOUND):
    """There is no such book."""

    isbn: str


class Book(Message):
    """A book, which is an edition of a work."""

    isbn: str
    title: str
    work: str
    pages: int


class Offer(Message):
    """A book with its price and how its readers found it."""

    book: Book
    cents: int
    stars: float


class Catalog(Contract, Protocol, package="bookshop.catalog.v1"):
    """Knows the books."""

    @safe(http="GET /books")
    async def books(self, title: str = "") -> list[Book]:
        """Those whose title has this text in it."""
        ...

    @safe(http="GET /books/{isbn}", raises=[NoSuchBook])
    async def book(self, isbn: str) -> Book: ...


class Prices(Contract, Protocol, package="bookshop.prices.v1"):
    """Knows what a book costs."""

    @safe(raises=[NoSuchBook])
    async def price(self, isbn: str) -> int:
        """In cents."""
        ...


class Reviews(Contract, Protocol, package="bookshop.reviews.v1"):
    """Knows how readers found a book."""

    @safe(raises=[NoSuchBook])
    async def stars(self, isbn: str) -> float:
        """From 1 to 5."""
        ...


class Offers(Contract, Protocol, package="bookshop.offers.v1"):
    """Puts together what a customer wants to know."""

    @safe(http="GET /offers/{isbn}", raises=[NoSuchBook])
    async def offer(self, isbn: str) -> Offer: ...


# Two services whose work programs do: the others know their contracts, and not by whom it is done


class Programs:
    """Connections to programs of this system."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        self._client = httpx.AsyncClient(trust_env=False)

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def about(self, isbn: str, url: str, kind: type[T]) -> T:
        """What a program says of a book; its trace and its deadline are those of the call."""
        assert self._client is not None
        context = current()
        try:
            answer = await self._client.get(
                url + quote(isbn, safe=""), headers=context.headers(), timeout=context.remaining()
            )
        except httpx.HTTPError as failure:
            raise CallError(Code.UNAVAILABLE, f"{url} cannot be asked: {failure!r}") from None
        if answer.status_code == 404:
            raise NoSuchBook(isbn=isbn)
        if answer.status_code != 200:
            raise CallError(Code.UNAVAILABLE, f"{url} answered {answer.status_code}")
        return msgspec.json.decode(answer.content, type=kind)


class Price(msgspec.Struct):
    """What the tariff says."""

    cents: int


class Rating(msgspec.Struct):
    """What the ratings say."""

    stars: float


class TariffSettings(Settings):
    """Where the tariff is."""

    tariff_url: str = "app://tariff"


class RatingsSettings(Settings):
    """Where the ratings are."""

    ratings_url: str = "app://ratings"


@dataclass
class PricesService(Prices, Service, provides=[Programs]):
    """Asks the tariff."""

    programs: Programs
    settings: TariffSettings

    async def price(self, isbn: str) -> int:
        return (await self.programs.about(isbn, f"{self.settings.tariff_url}/prices/", Price)).cents


@dataclass
class ReviewsService(Reviews, Service, provides=[Programs]):
    """Asks the ratings."""

    programs: Programs
    settings: RatingsSettings

    async def stars(self, isbn: str) -> float:
        return (await self.programs.about(isbn, f"{self.settings.ratings_url}/ratings/", Rating)).stars


# Two services in Python alone

BOOKS = {
    each.isbn: each
    for each in [
        Book(isbn="1843", title="Notes on the Analytical Engine", work="notes", pages=66),
        Book(isbn="1961", title="Notes & Sketches <annotated>", work="notes", pages=110),
        Book(isbn="1968", title="The Art of Programming", work="art", pages=634),
    ]
}


class CatalogService(Catalog, Service):
    """The books."""

    async def books(self, title: str = "") -> list[Book]:
        return [each for each in BOOKS.values() if title.lower() in each.title.lower()]

    async def book(self, isbn: str) -> Book:
        if isbn not in BOOKS:
            raise NoSuchBook(isbn=isbn)
        return BOOKS[isbn]


@dataclass
class OffersService(Offers, Service):
    """Asks three services; of two it can't tell that they are in other languages."""

    catalog: Catalog
    prices: Prices
    reviews: Reviews

    async def offer(self, isbn: str) -> Offer:
        book = await self.catalog.book(isbn)
        return Offer(book=book, cents=await self.prices.price(isbn), stars=await self.reviews.stars(isbn))


system = System(
    "bookshop",
    services=[CatalogService, PricesService, ReviewsService, OffersService],
    programs=[
        Program("tariff", ["node", "tariff.mjs", "{port}", "{catalog.url}"], folder="tariff", health="/health"),
        Program("ratings", ["java", "Ratings.java"], folder="ratings", health="/health"),
        Program(
            "shop",
            ["php", "-S", "127.0.0.1:{port}", "index.php"],
            folder="shop",
            environment={"SERVICES": "{offers.url}"},
            health="/health",
            mount="/shop",
            replicas=2,
        ),
    ],
)
