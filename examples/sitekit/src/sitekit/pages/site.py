"""What one site says or does otherwise than the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quart import current_app

from meristem import Fault, Identity

NAME = "site"  # among the app's extensions


@dataclass(frozen=True)
class Site:
    """The differences, given to `furnish` once.

    `home` and `sign_in` are endpoints. `secret` gives what signs cookies, when it is first needed. `identify` asks
    whose session a token stands for, and `identity` makes of them who calls are made for. `problems` has a heading and
    a sentence for each status, `faults` the status of a fault that reaches no form, and a sentence of its own or "".
    `policy` are directives of the Content-Security-Policy beside the usual ones. `patience` is how many seconds a page
    waits at most for a part that it can do without. `proxies` is how many proxies of ours each request has passed:
    what they say of a visitor's address is believed.
    """

    home: str
    sign_in: str
    secret: Callable[[], str]
    identify: Callable[[str], Awaitable[Any]]
    identity: Callable[[Any], Identity]
    problems: Mapping[int, tuple[str, str]]
    faults: Mapping[type[Fault], tuple[int, str]] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    patience: float = 1.0
    proxies: int = 0


def this_site() -> Site:
    """That of the running app."""
    found: Site = current_app.extensions[NAME]
    return found
