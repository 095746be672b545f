"""The words from which the catalogue makes hotels: names by language, streets by country, rooms and descriptions."""

from __future__ import annotations

LANGUAGES: dict[str, str] = {
    **dict.fromkeys(("PT", "BR", "AO", "MZ", "CV"), "pt"),
    **dict.fromkeys(("ES", "MX", "AR", "CO", "CL", "PE", "UY", "EC", "VE", "BO", "PY", "CU", "DO", "GT", "CR"), "es"),
    **dict.fromkeys(("FR", "BE", "LU", "MC", "SN", "CI", "MA", "TN"), "fr"),
    **dict.fromkeys(("DE", "AT", "CH", "LI"), "de"),
    **dict.fromkeys(("IT", "SM"), "it"),
    **dict.fromkeys(("IS", "NO", "SE", "DK", "FI", "EE", "LV", "LT"), "nordic"),
    **dict.fromkeys(("PL", "CZ", "SK", "SI", "HR", "RS", "BG", "HU", "RO", "UA"), "central"),
    "JP": "ja",
    "GR": "el",
    "TR": "tr",
}
"""Country to the language of its hotels' names; English for the others."""

NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "en": (
        ("The {}", "{} House", "Hotel {}", "The {} Rooms", "{} Lodge", "The {} Inn", "{} Court", "{} & Company"),
        ("Linden", "Harbour", "Lantern", "Orchard", "Meridian", "Juniper", "Quill", "Heron", "Magnolia", "Foundry",
         "Kingfisher", "Almanac", "Saffron", "Wayfarer", "Observatory", "Tamarind", "Compass", "Marigold", "Beacon",
         "Cedar", "Terrace", "Lighthouse", "Jasmine", "Old Mill", "Garden", "Telegraph"),
    ),
    "pt": (
        ("Hotel {}", "Casa {}", "Pousada {}", "Solar {}", "Quinta {}"),
        ("da Luz", "do Rio", "das Oliveiras", "da Ponte", "do Miradouro", "das Andorinhas", "da Graça", "do Farol",
         "dos Azulejos", "do Carmo", "da Figueira", "das Flores", "do Jardim", "da Saudade", "do Mar", "da Torre"),
    ),
    "es": (
        ("Hotel {}", "Casa {}", "Posada {}", "Hostal {}", "Palacio {}"),
        ("del Sol", "de la Luna", "los Naranjos", "del Patio", "San Telmo", "de las Golondrinas", "Miramar",
         "del Río", "la Alameda", "del Cerezo", "Santa Inés", "las Palmeras", "de la Plaza", "el Mirador", "Aurora"),
    ),
    "fr": (
        ("Hôtel {}", "Maison {}", "Le Relais {}", "Résidence {}", "La Villa {}"),
        ("des Tilleuls", "du Canal", "Saint-Clair", "de la Place", "des Lilas", "du Phare", "Bellevue", "Colette",
         "des Arts", "du Parc", "des Remparts", "Lumière", "du Vieux Moulin", "des Voyageurs", "Mirabeau", "Rosalie"),
    ),
    "de": (
        ("Hotel {}", "Gasthof {}", "Pension {}", "Hotel zum {}", "Haus {}"),
        ("Lindenhof", "Goldener Hirsch", "Morgenstern", "Alte Mühle", "Rosengarten", "Sonnenhof", "Kastanie",
         "Schwanen", "Am Markt", "Silberbach", "Nachtigall", "Blauer Engel", "Kronprinz", "Falkenstein", "Anker"),
    ),
    "it": (
        ("Albergo {}", "Hotel {}", "Locanda {}", "Villa {}", "Palazzo {}"),
        ("della Luna", "dei Fiori", "Bellavista", "del Ponte", "Aurora", "San Marco", "degli Ulivi", "delle Rose",
         "Belvedere", "del Sole", "Fontana", "dei Mercanti", "Serena", "della Torre", "Giardino", "Miramonti"),
    ),
    "nordic": (
        ("Hotel {}", "{} Guesthouse", "{} Hotell", "Villa {}", "{} House"),
        ("Nordlys", "Aurora", "Fjord", "Borg", "Saga", "Lind", "Tundra", "Hav", "Birk", "Midnight", "Lava", "Polar",
         "Rowan", "Skarn", "Embla", "Solstice", "Runa", "Amber", "Tern", "Glacier"),
    ),
    "central": (
        ("Hotel {}", "Pension {}", "Villa {}", "{} Residence", "Palace {}"),
        ("Lipa", "Amber", "Zora", "Bellaria", "Dom", "Aurora", "Rubin", "Slavia", "Vega", "Kometa", "Concordia",
         "Golden Key", "Three Swans", "White Stork", "Opera", "Granary", "Polonia", "Bastion", "Sirena", "Emona"),
    ),
    "ja": (
        ("Ryokan {}", "Hotel {}", "{}-an", "{} Inn", "Machiya {}"),
        ("Tsubaki", "Sakura", "Momiji", "Hoshino", "Kawasemi", "Shirakawa", "Yukimi", "Matsukaze", "Ayame", "Tsukimi",
         "Suzume", "Hanare", "Kikyo", "Midori", "Asagiri", "Wakaba"),
    ),
    "el": (
        ("Hotel {}", "{} Suites", "Villa {}", "{} House", "Xenia {}"),
        ("Athina", "Ariadne", "Elia", "Thalassa", "Meltemi", "Kallisto", "Philoxenia", "Ilios", "Daphne", "Orion",
         "Selene", "Amalthea", "Kyma", "Anemos"),
    ),
    "tr": (
        ("Hotel {}", "{} Konak", "{} Palas", "{} Suites", "Pansiyon {}"),
        ("Lale", "Manolya", "Sultan", "Deniz", "Yakamoz", "Mavi", "Ottoman", "Gülhane", "Turkuaz", "Serender", "Nar",
         "Erguvan", "Yasemin", "Kumru"),
    ),
}  # fmt: skip
"""Language to the shapes of a name and the words that fill them."""

STREETS: dict[str, tuple[str, ...]] = {
    "pt": ("Rua do Carmo {number}", "Rua das Flores {number}", "Avenida da Liberdade {number}", "Largo da Sé {number}"),
    "es": ("Calle Mayor {number}", "Plaza de la Iglesia {number}", "Calle del Río {number}", "Calle Luna {number}"),
    "fr": ("{number} rue de la Paix", "{number} rue des Lilas", "{number} quai du Port", "{number} avenue de la Gare"),
    "de": ("Lindenstraße {number}", "Am Markt {number}", "Bahnhofstraße {number}", "Gartenweg {number}"),
    "it": ("Via Roma {number}", "Via dei Mercanti {number}", "Piazza del Duomo {number}", "Corso Garibaldi {number}"),
    "nordic": ("Storgata {number}", "Havnegade {number}", "Kyrkogatan {number}", "Strandvegur {number}"),
    "central": ("Rynek {number}", "Hlavní {number}", "Ulica Lipowa {number}", "Trubarjeva {number}"),
    "ja": ("{number}-4 Honmachi", "{number}-12 Sakaemachi", "{number}-2 Teramachi-dori", "{number}-7 Kawaramachi"),
    "el": ("Odos Ermou {number}", "Plateia Agoras {number}", "Leoforos Nikis {number}"),
    "tr": ("Lale Sokak {number}", "İstiklal Caddesi {number}", "Sahil Yolu {number}"),
    "en": ("{number} High Street", "{number} Station Road", "{number} Market Square", "{number} Mill Lane"),
}  # fmt: skip

PRICES: dict[str, int] = {
    **dict.fromkeys(("CH", "IS", "NO", "SG"), 150),
    **dict.fromkeys(("US", "GB", "DK", "IE", "FR", "NL", "SE", "AU"), 125),
    **dict.fromkeys(("DE", "AT", "BE", "FI", "IT", "ES", "JP", "CA", "IL", "KR", "NZ", "LU", "HK", "AE"), 105),
    **dict.fromkeys(("PT", "GR", "EE", "SI", "HR", "CZ", "LV", "LT", "PL", "HU", "SK"), 85),
}
"""Country to the price level in euros of a double room; ``OTHER_PRICE`` elsewhere."""
OTHER_PRICE = 62

# As in ROOMS; every hotel has it.
DOUBLE_ROOM = ("Double room", 2, 100, 2)
# Name, guests, price in hundredths of a double room, the fewest stars of a hotel that has it.
ROOMS: tuple[tuple[str, int, int, int], ...] = (
    ("Single room", 1, 74, 2),
    DOUBLE_ROOM,
    ("Twin room", 2, 98, 2),
    ("Three-bed room", 3, 126, 2),
    ("Double room with a view", 2, 122, 3),
    ("Family room", 4, 152, 3),
    ("Apartment with kitchen", 4, 175, 3),
    ("Junior suite", 3, 188, 4),
    ("Suite", 4, 265, 4),
    ("Penthouse", 6, 420, 5),
)

AMENITIES: tuple[tuple[str, int], ...] = (
    ("Free Wi-Fi", 2),
    ("Breakfast", 2),
    ("Bicycles", 2),
    ("Pets welcome", 2),
    ("Luggage room", 2),
    ("Step-free access", 2),
    ("Garden", 3),
    ("Restaurant", 3),
    ("Bar", 3),
    ("Parking", 3),
    ("Air conditioning", 3),
    ("Library", 3),
    ("Gym", 4),
    ("Sauna", 4),
    ("Roof terrace", 4),
    ("Pool", 4),
    ("Spa", 5),
    ("Concierge", 5),
)
"""Each with the fewest stars of a hotel that has it."""

OPENINGS = (
    "A quiet house in the middle of {city}, ten minutes on foot from everything.",
    "Once a merchant's house, now {stars_word} place to stay in {city}.",
    "Bright rooms above a calm street of {city}.",
    "A family has kept this hotel in {city} for three generations.",
    "Built around a courtyard, a short walk from the station of {city}.",
    "Plain, warm and well looked after: {stars_word} address in {city}.",
    "Tall windows, old floors and the best coffee of {city}.",
    "A new hotel behind an old front, close to the centre of {city}.",
)
STARS_WORDS = {2: "an honest", 3: "a comfortable", 4: "a fine", 5: "a splendid"}
ENDINGS = (
    "Breakfast is served until eleven.",
    "The staff know the city and like to share it.",
    "Most rooms look onto the garden.",
    "Guests come back for the silence at night.",
    "Arrive at any hour: someone is awake.",
    "Bread is baked in the house every morning.",
    "The old lift still runs, and so does the piano.",
)
