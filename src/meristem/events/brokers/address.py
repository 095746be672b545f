"""What a bus's URL says: where the broker is, and the options that are ours."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from meristem.errors import ConfigurationError
from meristem.quantities import seconds_of

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST: Final = 36_525 * 86_400.0  # seconds
MODES: Final = ("structured", "binary")
COMMON: Final = ("prefix", "mode")


class BusAddress(NamedTuple):
    """A broker, `url` as its client takes it, and how it is used."""

    url: str
    prefix: str
    """Begins the names of all that is made there, so that several environments share a broker."""
    binary: bool
    """Whether a CloudEvent's attributes travel in headers beside its data, or with it in one body."""
    options: dict[str, str]


def read_address(url: str, known: tuple[str, ...]) -> BusAddress:
    """Read a URL like `nats://host:4222?prefix=shop`; raises ConfigurationError, and shows no password."""
    try:
        parts: SplitResult = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ConfigurationError("the bus: its URL can't be read; write it like nats://host:4222?prefix=shop") from None
    if not parts.netloc:
        raise ConfigurationError(f"the bus: its URL names no host; write it like {parts.scheme}://host")
    unknown = options.keys() - set(COMMON) - set(known)
    if unknown:
        there_are = ", ".join((*COMMON, *known))
        raise ConfigurationError(f"the bus: its URL has an unknown option {min(unknown)!r}; there are {there_are}")
    prefix, mode = options.pop("prefix", "meristem"), options.pop("mode", MODES[0])
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(f"the bus: prefix={prefix!r}: give up to 64 letters, digits, _ and -")
    if mode not in MODES:
        raise ConfigurationError(f"the bus: mode={mode!r} is none of {', '.join(MODES)}")
    return BusAddress(urlunsplit(parts._replace(query="")), prefix, mode == "binary", options)


def seconds(options: dict[str, str], name: str, default: str) -> float:
    """A span of time among the options, like `30d`, in seconds; raises ConfigurationError."""
    given = options.get(name, default)
    try:
        found = seconds_of(given)
    except ValueError as error:
        raise ConfigurationError(f"the bus: {name}={error}, such as {default}") from None
    if not 1 <= found <= LONGEST:
        raise ConfigurationError(f"the bus: {name}={given!r}: give a time from a second to a hundred years")
    return found


def count(options: dict[str, str], name: str, default: int) -> int:
    """A number among the options; raises ConfigurationError."""
    given = options.get(name)
    if given is None:
        return default
    if not given.isdecimal() or not 0 < int(given) < 10_000:
        raise ConfigurationError(f"the bus: {name}={given!r}: give a number above zero")
    return int(given)
