"""A request of the transcript, what comes of it, and a theme: a policy with requests to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CUT = 444
"""The connection is cut, and nothing is answered."""


class Asked(NamedTuple):
    """A request, sent so many `times` one after the other; of these each status in `status` comes as often as it says.

    It comes from `client`, by the word of a proxy that all trust, its body in one piece or `chunked`. The answer has
    the fields in `answered`, of which one is absent that is None; `seen` is what the part behind is asked for, as its
    path or a field by name.
    """

    target: str
    status: int | Mapping[int, int]
    method: str = "GET"
    host: str = "shop.example"
    client: str = "192.0.2.1"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunked: bool = False
    times: int = 1
    answered: Mapping[str, str | None] = {}
    seen: Mapping[str, str | None] = {}
    after: float = 0.0  # seconds to wait before


class Theme(NamedTuple):
    """A policy and what comes of requests to it."""

    name: str
    placement: str
    asked: tuple[Asked, ...]
