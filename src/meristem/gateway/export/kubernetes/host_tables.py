"""Which route a request is on, told in the Gateway API's way: by its host first, and then by the match that says most.

The edge goes by the path before it goes by the host, so the routes without a host are told again for each host that is
named; and it asks one match after the other, so for each path it is decided here which route has which method.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import quote

from meristem.gateway.policy.gatekeeper import ELSE
from meristem.gateway.policy.host_names import closeness, covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meristem.gateway.policy.route_choice import RouteMatch

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
"""All that a match can name."""
PRECISE: Final = re.compile(r"(?!\d+(\.\d+){3}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
IN_PATHS: Final = "/-._~!$&'()*+,;=:@%"


PLACEHOLDER: Final = "[^/]+"
UNSERVED: Final = ""
"""In place of a route: nothing is decided."""


class PathMatch(NamedTuple):
    """What a match says of paths."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: str


ROOT: Final = PathMatch("PathPrefix", "/")


class TableEntry(NamedTuple):
    """Requests that are on a route: at a path, with a method if one is named.

    With `asks` they are preflights (`OPTIONS`) for that method.
    """

    route: str
    path: PathMatch
    method: str | None = None
    asks: str | None = None


class HostTable(NamedTuple):
    """All that is asked of requests for some hosts; without any, for those that no other table has."""

    hosts: tuple[str, ...]
    entries: tuple[TableEntry, ...]


def can_be_named(host: str) -> bool:
    """Whether a route can be for this host: addresses and underscores are not in the names of hosts."""
    return PRECISE.fullmatch(host.removeprefix("*.").lower()) is not None


def is_by_segments(match: RouteMatch) -> bool:
    """Whether a match can be told without a regular expression: by whole segments, none of them a placeholder."""
    if match.kind == "below":
        return match.path.endswith("/")
    return match.kind != "rest" or _literal(match.path) is not None


def host_tables(
    matches: Sequence[RouteMatch], served: Sequence[str], with_cors: frozenset[str] = frozenset()
) -> list[HostTable]:
    """The tables of a policy that serves some hosts, or all; the routes `with_cors` answer preflights.

    Where it serves some alone, all others have a table in which nothing is decided: the edge behind refuses them.
    """
    named = {each.lower() for each in (*served, *(match.host for match in matches if match.host is not None))}
    known = sorted((each for each in named if can_be_named(each)), key=lambda each: (closeness(each), each))
    if served:
        known = [each for each in known if any(covers(pattern, each) for pattern in served)]
    tables: dict[tuple[TableEntry, ...], list[str]] = {}
    for host in reversed(known):
        tables.setdefault(_entries(_of_host(matches, host), with_cors), []).append(host)
    rest = [each for each in matches if each.host is None]
    others = (TableEntry(UNSERVED, ROOT),) if served else _entries(rest, with_cors)
    return [*(HostTable((*hosts,), entries) for entries, hosts in tables.items()), HostTable((), others)]


def _of_host(matches: Iterable[RouteMatch], host: str) -> list[RouteMatch]:
    """What holds for those hosts that no closer pattern has."""
    return [each for each in matches if each.host is None or covers(each.host, host)]


def _entries(matches: Sequence[RouteMatch], with_cors: frozenset[str]) -> tuple[TableEntry, ...]:
    places = dict.fromkeys(place for each in matches if _is_told(each, matches) for place in _places(each))
    places.pop(ROOT, None)
    return tuple(entry for place in (*places, ROOT) for entry in _at(place, matches, with_cors))


def _at(place: PathMatch, matches: Sequence[RouteMatch], with_cors: frozenset[str]) -> Iterator[TableEntry]:
    """Who has a path, by method: what only a shorter path says is found there."""
    near = [each for each in matches if _holds(each, place) and (each.kind != "below" or place in _places(each))]
    methods = [each for each in METHODS if any(one.methods is not None and each in one.methods for one in near)]
    has_all = place == ROOT or any(each.methods is None and each.route is not None for each in near)
    every = _route(matches, place, "") if has_all else None
    for method in methods:
        if (route := _route(matches, place, method)) != every:
            yield TableEntry(route, place, method)
    plain = _route(matches, place, "OPTIONS")
    for asked in METHODS if "OPTIONS" in methods else methods:
        wanted = _route(matches, place, asked)
        answering = wanted if wanted in with_cors else plain
        if with_cors and (answering != plain or not (has_all or "OPTIONS" in methods)):
            yield TableEntry(answering, place, "OPTIONS", asked)
    if every is not None:
        yield TableEntry(every, place)


def _route(matches: Sequence[RouteMatch], place: PathMatch, method: str) -> str:
    """The route of a request there, as the edge finds it; without a method that of one that nobody names."""
    asks_rest = True
    for each in matches:
        if not _holds(each, place) or (each.kind == "rest" and not asks_rest):
            continue
        if each.route is None:
            asks_rest = False
        elif each.methods is None or method in each.methods:
            return each.route
    return ELSE


def _holds(match: RouteMatch, place: PathMatch) -> bool:
    """Whether a match is for all requests that are matched there."""
    if place in _places(match):
        return True
    if match.kind == "below":
        return match.path == "/" or _beginning(place).startswith(quote(match.path, IN_PATHS))
    if place.type != "Exact" or match.kind != "rest":
        return False
    return re.fullmatch(_quoted(match.path), place.value.removesuffix("/")) is not None


def _is_told(match: RouteMatch, matches: Sequence[RouteMatch]) -> bool:
    """Whether a match needs a place: one on no route does, where it takes a path out of a placeholder's."""
    if match.route is not None:
        return True
    return _literal(match.path) is not None and any(
        each.kind == "rest" and each.route is not None and not is_by_segments(each) and _holds(each, place)
        for each in matches
        for place in _places(match)
    )


def _places(match: RouteMatch) -> tuple[PathMatch, ...]:
    """Where a match stands by itself."""
    if match.kind == "call":
        return (PathMatch("Exact", match.path),)
    if match.kind == "below":
        path = quote(match.path, IN_PATHS)
        if path.endswith("/"):
            return (PathMatch("PathPrefix", path.removesuffix("/") or "/"),)
        return (PathMatch("RegularExpression", f"^{re.escape(path)}.*$"),)
    literal = match.path if match.kind == "whole" else _literal(match.path)
    if literal is None:  # a slash at its end is forgiven
        return (PathMatch("RegularExpression", f"^{_quoted(match.path)}/?$"),)
    path = quote(literal, IN_PATHS).removesuffix("/")
    return (*([PathMatch("Exact", path)] if path else []), PathMatch("Exact", path + "/"))


def _beginning(place: PathMatch) -> str:
    """With what all paths there begin, if a slash is put behind them."""
    if place.type != "RegularExpression":
        return place.value + "/"
    return _unescaped(re.split(r"\[\^/\]\+|\.\*", place.value.removeprefix("^"))[0])


def _literal(pattern: str) -> str | None:
    """The only path that a pattern of REST is for; None for one with placeholders."""
    return None if PLACEHOLDER in pattern else _unescaped(pattern)


def _quoted(pattern: str) -> str:
    """A pattern for paths as they are sent."""
    return "".join(each if each.isascii() else quote(each) for each in pattern)


def _unescaped(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern)
