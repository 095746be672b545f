"""The values that every stack carries: a message of four fields, and a question that a list of 100 answers."""

from __future__ import annotations

from typing import Any

CITIES = ("Reykjavik", "Porto", "Ljubljana", "Tartu", "Kyoto")
QUOTE: dict[str, Any] = {"hotel_id": 1234567, "city": "Reykjavik", "nights": 3, "price": 219.75}
QUERY: dict[str, Any] = {"city": "Porto", "count": 100}
ROWS: list[dict[str, Any]] = [
    {"hotel_id": 1000 + each, "city": CITIES[each % 5], "nights": 1 + each % 7, "price": 100.25 + each * 1.5}
    for each in range(100)
]
