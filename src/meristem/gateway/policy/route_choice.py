"""Which route of the gateway a request is on: of those that fit, the one that says most of it."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations, product
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

from meristem.errors import ConfigurationError
from meristem.gateway.policy.host_names import HostPatterns, closeness
from meristem.gateway.policy.route_table import EVERY_PATH, collision
from meristem.transports.http.rest.router import Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meristem.gateway.policy.part_paths import PartPaths
    from meristem.gateway.policy.route_table import GatewayRouteTable

T = TypeVar("T")
RPC: Final = "rpc"


class RoutePlace(NamedTuple):
    """Where a route holds: at a path, `/api/*` with all below it, or where an operation is answered.

    That is where REST has its verb, and for `RPC` in place of a verb the path of RPC, both to the letter: beside them
    an app may answer. It may be the `mount` of one, too.
    """

    path: str
    verb: str = ""
    is_named: bool = True  # by itself, and not with all of its contract
    is_mount: bool = False


class RouteCandidate(NamedTuple, Generic[T]):
    """A route of a path, if the host and the method are among its own."""

    name: str
    host: str | None
    methods: frozenset[str] | None
    place: RoutePlace
    value: T

    def collides(self, other: RouteCandidate[T]) -> bool:
        """Whether neither says more of a request than the other does."""
        if self.host != other.host or self.place.is_named != other.place.is_named:
            return False
        if self.methods is None or other.methods is None:
            return self.methods is other.methods
        return bool(self.methods & other.methods)


MatchKind: TypeAlias = Literal["call", "rest", "whole", "below"]


class RouteMatch(NamedTuple):
    """Requests that are on a route, told so that others can ask for them: of all that fit the first one counts.

    By `kind`, `path` is that of a `call`, to the letter; a pattern of `rest` as `Router.in_order` has them; one path,
    `whole`, with a slash at its end or without; or a beginning of what is `below` it, which a path with a slash put
    behind it has. `host` and `methods` are None for all. What is on no `route` here is asked for at no further path of
    REST.
    """

    kind: MatchKind
    path: str
    host: str | None
    methods: frozenset[str] | None
    route: str | None


class RouteChoice(Generic[T]):
    """Finds the route of a request, and gives what `values` have of it, else `rest`.

    Raises ConfigurationError where a route names what the system lacks, or two routes are for the same.
    """

    def __init__(
        self, routes: Mapping[str, GatewayRouteTable], values: Mapping[str, T], rest: T, parts: PartPaths
    ) -> None:
        groups: dict[tuple[str, str], list[RouteCandidate[T]]] = defaultdict(list)
        for name, table in routes.items():
            try:
                places = [*places_of(table, parts)]
            except ConfigurationError as error:
                raise ConfigurationError(f"[gateway.routes.{name}]: {error}") from None
            methods = frozenset(with_head(table.methods)) if table.methods else None
            hosts: list[str | None] = [each.lower() for each in table.hosts]
            for place, host in product(places, hosts or [None]):
                candidate = RouteCandidate(name, host, methods, place, values[name])
                path = place.path if place.verb else _normal(place.path)
                groups[path, place.verb].append(candidate)
        self._rest = rest
        self._api = parts.api.rstrip("/")
        self._calls: dict[bytes, list[_Fit[T]]] = {}
        rest_fits: dict[tuple[str, str], list[_Fit[T]]] = {}
        self._whole: dict[bytes, list[_Fit[T]]] = {}
        below: dict[bytes, list[_Fit[T]]] = {}
        for (path, verb), group in groups.items():
            fits = _ordered(group)
            if verb == RPC:
                self._calls[path.encode()] = fits
            elif verb:
                rest_fits[path, verb] = fits
            elif path.endswith("*"):
                below[b"" if path == EVERY_PATH else path[:-1].encode()] = fits  # of all: `OPTIONS *`, too
            else:
                self._whole[path.encode()] = fits
        self._below = sorted(below.items(), key=lambda each: -len(each[0]))
        # All of REST, as it is served: at `/rooms/free` another operation may stand than that of `/rooms/{id}`.
        self._rest_paths: Router[Sequence[_Fit[T]]] = Router()
        for each in parts.operations.values() if rest_fits else ():
            if each.verb:
                self._rest_paths.add(each.verb, each.path, rest_fits.get((each.path, each.verb), ()))
        self._has_rest = bool(rest_fits)

    def find(self, path: bytes, served: bytes, host: str, method: str) -> T:
        """What belongs to a request, by both spellings of its canonical path."""
        for fit in self._calls.get(served, ()):
            if fit.takes(host, method):
                return fit.value
        if self._has_rest and (found := self._at_rest(served, host, method)) is not None:
            return found.value
        closed = path if path.endswith(b"/") else path + b"/"
        mounted = closed if path == served else unquote_to_bytes(served) + b"/"  # as mounts are told apart
        for fit in self._whole.get(closed, ()):
            if fit.takes(host, method):
                return fit.value
        for start, fits in self._below:
            if closed.startswith(start):
                for fit in fits:
                    if fit.takes(host, method) and (not fit.is_mount or mounted.startswith(start)):
                        return fit.value
        return self._rest

    def in_order(self) -> Iterator[RouteMatch]:
        """The same for somebody else to find: each way to be on a route, the first that fits before the others."""
        for path, fits in self._calls.items():
            yield from (each.match("call", path.decode()) for each in fits)
        for pattern, verbs in self._rest_paths.in_order():
            at = re.escape(self._api) + pattern
            for verb, of_verb in verbs.items():
                methods = frozenset(with_head([verb]))
                yield from (each.match("rest", at, methods) for each in of_verb if each.of(methods))
            yield RouteMatch("rest", at, None, None, None)
        for path, fits in self._whole.items():
            yield from (each.match("whole", path.decode()) for each in fits)
        for path, fits in self._below:
            yield from (each.match("below", path.decode() or "/") for each in fits)

    def _at_rest(self, served: bytes, host: str, method: str) -> _Fit[T] | None:
        path = served.decode("latin-1")
        if not path.startswith(self._api + "/"):
            return None
        verbs, _ = self._rest_paths.find(path[len(self._api) :])
        fits = verbs.get("GET" if method == "HEAD" else method, ())
        return next((each for each in fits if each.takes(host, method)), None)


class _Fit(Generic[T]):
    """A candidate as it is asked."""

    __slots__ = ("_candidate", "_hosts", "_methods", "is_mount", "value")

    def __init__(self, candidate: RouteCandidate[T]) -> None:
        self._candidate = candidate
        self.value = candidate.value
        self._hosts = None if candidate.host is None else HostPatterns((candidate.host,))
        self._methods = candidate.methods
        self.is_mount = candidate.place.is_mount

    def match(self, kind: MatchKind, path: str, of: frozenset[str] | None = None) -> RouteMatch:
        """How it is told to others; `of` are the methods that its place has."""
        methods = of if self._methods is None else self._methods if of is None else of & self._methods
        return RouteMatch(kind, path, self._candidate.host, methods, self._candidate.name)

    def of(self, methods: frozenset[str]) -> bool:
        """Whether it is for one of these methods."""
        return self._methods is None or bool(self._methods & methods)

    def takes(self, host: str, method: str) -> bool:
        return (self._hosts is None or self._hosts.fit(host)) and (self._methods is None or method in self._methods)


def places_of(table: GatewayRouteTable, parts: PartPaths) -> Iterator[RoutePlace]:
    """Where a route holds; raises ConfigurationError for a part that the system lacks."""
    if table.app is not None:
        yield RoutePlace(parts.mount(table.app).rstrip("/") + "/*", is_mount=True)
    for pattern in table.operations:
        is_named = not pattern.endswith("/*")
        for each in parts.of(pattern):
            yield RoutePlace(each.rpc, RPC, is_named)
            if each.verb:
                yield RoutePlace(each.path, each.verb, is_named)
    if table.app is None and not table.operations:
        yield RoutePlace(table.path or EVERY_PATH)


def with_head(methods: Iterable[str]) -> Iterator[str]:
    """The methods, and HEAD with GET: what answers the one answers the other."""
    for each in methods:
        yield each
        if each == "GET":
            yield "HEAD"


def _normal(path: str) -> str:
    """A slash more or less at the end makes no other path."""
    return path if path.endswith(("*", "/")) else path + "/"


def _ordered(group: list[RouteCandidate[T]]) -> list[_Fit[T]]:
    for one, other in combinations(group, 2):
        if one.collides(other):
            raise ConfigurationError(collision(other.name, one.name))
    group.sort(key=lambda each: (each.place.is_named, closeness(each.host), each.methods is not None), reverse=True)
    return [_Fit(each) for each in group]
