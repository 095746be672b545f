"""The partner's offers: the same question gets the same answer on every machine and on every day."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

# City: the price level, and names that a hotel there could carry.
_CITIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "Amsterdam": (150, ("Jordaan", "Amstel", "Vondel")),
    "Athens": (95, ("Plaka", "Lycabettus", "Kerameikos")),
    "Auckland": (120, ("Viaduct", "Ponsonby", "Waitematā")),
    "Bangkok": (60, ("Chao Phraya", "Silom", "Ari")),
    "Barcelona": (130, ("Gràcia", "Eixample", "Ciutadella")),
    "Berlin": (105, ("Spree", "Prenzlauer", "Tiergarten")),
    "Bergen": (135, ("Bryggen", "Nordnes", "Fløyen")),
    "Bologna": (100, ("Portico", "Santo Stefano", "Reno")),
    "Bordeaux": (115, ("Chartrons", "Garonne", "Saint-Pierre")),
    "Brussels": (115, ("Sablon", "Ixelles", "Marolles")),
    "Bucharest": (70, ("Lipscani", "Cotroceni", "Herăstrău")),
    "Budapest": (80, ("Duna", "Buda", "Gellért")),
    "Buenos Aires": (75, ("Recoleta", "San Telmo", "Palermo")),
    "Cape Town": (90, ("Bo-Kaap", "Signal Hill", "Kloof")),
    "Copenhagen": (160, ("Nyhavn", "Vesterbro", "Christianshavn")),
    "Dublin": (145, ("Liffey", "Merrion", "Stoneybatter")),
    "Edinburgh": (125, ("Royal Mile", "Stockbridge", "Leith")),
    "Florence": (135, ("Arno", "Oltrarno", "San Lorenzo")),
    "Gdańsk": (75, ("Motława", "Długa", "Oliwa")),
    "Geneva": (185, ("Léman", "Carouge", "Mont-Blanc")),
    "Hamburg": (115, ("Alster", "Speicher", "Elbe")),
    "Helsinki": (125, ("Kallio", "Eira", "Punavuori")),
    "Istanbul": (70, ("Galata", "Moda", "Balat")),
    "Kraków": (75, ("Kazimierz", "Wawel", "Planty")),
    "Kyoto": (115, ("Gion", "Kamo", "Arashiyama")),
    "Lisbon": (110, ("Alfama", "Chiado", "Estrela")),
    "Ljubljana": (95, ("Emona", "Trnovo", "Tivoli")),
    "London": (175, ("Bloomsbury", "Southwark", "Marylebone")),
    "Lyon": (105, ("Saône", "Croix-Rousse", "Bellecour")),
    "Madrid": (115, ("Retiro", "Malasaña", "La Latina")),
    "Marseille": (100, ("Vieux-Port", "Le Panier", "Calanques")),
    "Melbourne": (115, ("Fitzroy", "Yarra", "Carlton")),
    "Milan": (140, ("Navigli", "Brera", "Sempione")),
    "Montréal": (115, ("Plateau", "Mile End", "Saint-Laurent")),
    "Munich": (130, ("Isar", "Schwabing", "Viktualien")),
    "Naples": (90, ("Chiaia", "Spaccanapoli", "Posillipo")),
    "New York City": (210, ("Hudson", "Bowery", "Bryant")),
    "Nice": (125, ("Promenade", "Cimiez", "Lympia")),
    "Oslo": (140, ("Grünerløkka", "Frogner", "Aker")),
    "Paris": (165, ("Marais", "Montmartre", "Saint-Germain")),
    "Porto": (95, ("Ribeira", "Douro", "Bonfim")),
    "Prague": (85, ("Vltava", "Malá Strana", "Vinohrady")),
    "Reykjavík": (165, ("Hallgrímur", "Tjörnin", "Esja")),
    "Riga": (75, ("Daugava", "Alberta", "Līvu")),
    "Rome": (130, ("Trastevere", "Aventine", "Monti")),
    "San Francisco": (190, ("Presidio", "Embarcadero", "Mission")),
    "Seville": (100, ("Triana", "Giralda", "Santa Cruz")),
    "Singapore": (165, ("Katong", "Tiong Bahru", "Marina")),
    "Stockholm": (140, ("Södermalm", "Djurgården", "Vasastan")),
    "Sydney": (150, ("The Rocks", "Glebe", "Balmain")),
    "Tallinn": (85, ("Toompea", "Kalamaja", "Kadriorg")),
    "Tartu": (75, ("Emajõgi", "Toome", "Karlova")),
    "Thessaloníki": (80, ("Ladadika", "Thermaïkos", "Áno Póli")),
    "Tokyo": (140, ("Asakusa", "Yanaka", "Ueno")),
    "Turin": (95, ("Po", "Quadrilatero", "Valentino")),
    "Valencia": (100, ("Turia", "Ruzafa", "El Carmen")),
    "Venice": (170, ("Dorsoduro", "Rialto", "Cannaregio")),
    "Vienna": (120, ("Ring", "Josefstadt", "Prater")),
    "Vilnius": (75, ("Užupis", "Gediminas", "Neris")),
    "Warsaw": (80, ("Wisła", "Mokotów", "Praga")),
    "Zagreb": (80, ("Gornji Grad", "Sava", "Maksimir")),
    "Zürich": (185, ("Limmat", "Niederdorf", "Seefeld")),
}

# Written another way than the partner does.
_ALSO_KNOWN_AS = {"new york": "New York City", "wien": "Vienna", "lisboa": "Lisbon", "roma": "Rome", "praha": "Prague"}

_STYLES = ("Hotel {}", "{} House", "The {} Rooms", "Residence {}", "{} Suites", "Casa {}", "{} Boutique Hotel")
_ROOMS = (
    ("Single room", 1, "0.80"),
    ("Double room", 2, "1.00"),
    ("Twin room", 2, "0.98"),
    ("Superior double", 2, "1.25"),
)
_LARGE_ROOMS = (("Family room", 4, "1.55"), ("Two-room apartment", 4, "1.80"), ("Large apartment", 8, "2.60"))


@dataclass(frozen=True, slots=True)
class Question:
    """Which city, from which day, for how many nights and guests."""

    city: str
    arrival: date
    nights: int
    guests: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A room that the partner sells on its own page."""

    id: str
    hotel: str
    room: str
    stars: int
    price_per_night: Decimal
    currency: str = "EUR"


def known_cities() -> list[str]:
    return sorted(_CITIES)


def find_offers(question: Question) -> list[Offer]:
    """Three to eight offers, cheapest first, for a city that the partner serves; otherwise none."""
    city = _served_city(question.city)
    if city is None:
        return []
    # The hash of the words, not hash(): that one differs from process to process.
    words = f"{city}|{question.arrival.isoformat()}|{question.nights}|{question.guests}"
    dice = random.Random(hashlib.sha256(words.encode()).digest())  # noqa: S311 - prices, not secrets
    level, places = _CITIES[city]
    names = dice.sample([style.format(place) for place in places for style in _STYLES], dice.randint(3, 8))
    offers = [_offer(dice, question, level, name) for name in names]
    return sorted(offers, key=lambda offer: (offer.price_per_night, offer.hotel))


def _served_city(text: str) -> str | None:
    wanted = _fold(_ALSO_KNOWN_AS.get(_fold(text), text))
    return next((city for city in _CITIES if _fold(city) == wanted), None)


def _offer(dice: random.Random, question: Question, level: int, hotel: str) -> Offer:
    fitting = [room for room in (*_ROOMS, *_LARGE_ROOMS) if room[1] >= question.guests]
    room, _, factor = dice.choice(fitting[:3])
    stars = dice.choices((2, 3, 4, 5), weights=(2, 5, 4, 1))[0]
    price = level * Decimal(factor) * (Decimal("0.45") + Decimal(stars) * Decimal("0.18"))
    price *= _season(question.arrival) * Decimal(dice.randint(90, 115)) / 100
    identity = hashlib.sha256(f"{hotel}|{room}|{question}".encode()).hexdigest()[:16]
    return Offer(identity, hotel, room, stars, price.quantize(Decimal(1)) - Decimal("0.10"))


def _season(arrival: date) -> Decimal:
    """Summer and the last days of the year cost more."""
    if arrival.month in {6, 7, 8} or (arrival.month == 12 and arrival.day > 21):
        return Decimal("1.20")
    return Decimal("0.88") if arrival.month in {1, 2, 11} else Decimal("1.00")


def _fold(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.strip().casefold()).replace("ł", "l").replace("ø", "o")
    return "".join(c for c in decomposed if not unicodedata.combining(c))
