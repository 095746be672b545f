"""One way to be on a route of the policy, as the routes that Envoy looks at in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.gateway.export.envoy.answer_fields import FILTER as ANSWER_RULES
from meristem.gateway.export.envoy.answer_fields import answer_rules, field, request_rules, without_cors_of_apps
from meristem.gateway.export.envoy.compressors import not_compressed
from meristem.gateway.export.envoy.cross_origin import FILTER as CORS
from meristem.gateway.export.envoy.cross_origin import asking, grant, granted, readable, reader, readers
from meristem.gateway.export.envoy.endpoints import EDGE
from meristem.gateway.export.envoy.header_matchers import Part, above, one_of, text
from meristem.gateway.export.envoy.moved_routes import redirect
from meristem.gateway.export.envoy.rate_filters import LIMITS, counted
from meristem.gateway.export.envoy.token_verification import FILTER as TOKENS
from meristem.gateway.export.envoy.token_verification import verified_here
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.header_table import CorsTable
    from meristem.gateway.policy.route_table import GatewayRouteTable

BUFFER: Final = "envoy.filters.http.buffer"
BUFFER_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3"
SCRIPTS: Final = "envoy.filters.http.lua"
REPEATABLE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # RFC 9110, 9.2.1: they change nothing
VARIES: Final = field("vary", "origin", "APPEND_IF_EXISTS_OR_ADD")
PAUSE: Final = {"base_interval": "0.025s", "max_interval": "0.25s"}


class NativePlace(NamedTuple):
    """Where requests are: a path or all of them, and what else has to be so; for which methods, None for all."""

    at: Part
    so: tuple[Part, ...] = ()
    methods: frozenset[str] | None = None
    is_operation: bool = False

    def match(self, *so: Part, methods: frozenset[str] | None = None) -> Part:
        """Requests here that are so, too; with these methods where any are named, else with those of the place."""
        chosen = self.methods if methods is None else methods
        by_method = [] if chosen is None else [one_of(":method", chosen)]
        return {**self.at, "headers": [*by_method, *self.so, *so]}


def native_routes(table: GatewayTable, name: str, route: GatewayRouteTable, place: NativePlace) -> Iterator[Part]:
    """The routes for a route of the policy at one place, in the order in which the edge looks at these things."""
    settings = _settings(table, name, route)
    cors = route.cors or table.cors
    if cors is not None:
        yield from _preflights(name, cors, place, settings)
    if (moved := route.redirection) is not None:
        yield from _answered(name, place, redirect(moved), cors, settings)
        return
    most = route.body_bytes or table.body_bytes
    if most is not None:
        too_long = place._replace(so=(*place.so, above("content-length", most)))
        refusal = _direct(413, f"a body may have {most} bytes here")
        yield from _answered(f"{name}: too long", too_long, refusal, cors, settings)
    if most is not None or route.timeout is not None:
        # It has no end to wait for. The time counts until its answer, which Envoy can't tell from all of it.
        upgraded = place.match(_is_websocket(), methods=frozenset(("GET",)))
        if place.methods is None or "GET" in place.methods:
            yield {"name": f"{name}: WebSocket", "match": upgraded, "route": _to_edge("0s")} | (settings.serving)
    timeout = "0s" if route.timeout is None else f"{seconds_of(route.timeout):.3f}s"
    whole = settings.serving if most is None else settings.bounded(most)
    onward = _to_edge(timeout)
    repeated = REPEATABLE if place.methods is None else REPEATABLE & place.methods
    if route.retries and repeated and not place.is_operation:
        again = {"retry_on": "connect-failure,refused-stream,reset", "num_retries": route.retries}
        retried = onward | {"retry_policy": {**again, "retry_back_off": PAUSE}}
        yield {"name": f"{name}: again", "match": place.match(methods=repeated), "route": retried, **whole}
    yield {"name": name, "match": place.match(), "route": onward, **whole}


class _Settings(NamedTuple):
    """What stands beside the action of a route: of one that answers by itself, and of one that goes on to the edge."""

    answering: Part
    serving: Part

    def bounded(self, most: int) -> Part:
        """As one that goes on, of which no body may be longer."""
        filters = self.serving.get("typed_per_filter_config", {})
        buffer = {"@type": f"{BUFFER_TYPE}.BufferPerRoute", "buffer": {"max_request_bytes": most}}
        return {**self.serving, "typed_per_filter_config": {**filters, BUFFER: buffer}}


def _settings(table: GatewayTable, name: str, route: GatewayRouteTable) -> _Settings:
    filters: Part = {}
    cors = route.cors or table.cors
    any_origin = cors is not None and "*" in cors.origins
    if (rules := answer_rules(route.headers, any_origin=any_origin)) is not None:
        filters[ANSWER_RULES] = rules
    answering: Part = {"typed_per_filter_config": dict(filters)} if filters else {}
    serving: Part = {}
    metadata: Part = {LIMITS: counted(route.limits, table.limits, name)} if route.limits else {}
    if cors is not None:
        filters[CORS] = readers(cors)
        serving["response_headers_to_remove"] = without_cors_of_apps()
        if "*" not in cors.origins:
            serving["response_headers_to_add"] = [VARIES]
    if route.require is not None:
        filters[TOKENS] = verified_here()
        told = {"require": route.require, "roles": [*route.roles], "scopes": [*route.scopes]}
        metadata[SCRIPTS] = {"requirement": {key: value for key, value in told.items() if value}}
    if table.compression is not None and not route.compression:
        filters |= not_compressed(table.compression)
    fields = request_rules(table.request_headers, route.request_headers)
    serving |= {key: value for key, value in fields.items() if value}
    if metadata:
        serving["metadata"] = {"filter_metadata": metadata}
    if filters:
        serving["typed_per_filter_config"] = filters
    return _Settings(answering, serving)


def _to_edge(timeout: str) -> Part:
    return {"cluster": EDGE, "timeout": timeout}


def _preflights(name: str, cors: CorsTable, place: NativePlace, settings: _Settings) -> Iterator[Part]:
    asked = place._replace(methods=None, so=(*place.so, *asking(place.methods)))
    yes = {**_direct(204), "response_headers_to_add": grant(cors)}
    yield {"name": f"{name}: preflight", "match": asked.match(*granted(cors)), **yes, **settings.answering}
    no = _direct(403, "no page of this origin may send this here")
    yield {"name": f"{name}: no preflight", "match": asked.match(), **no, **settings.answering}


def _answered(
    name: str, place: NativePlace, answer: Part, cors: CorsTable | None, settings: _Settings
) -> Iterator[Part]:
    """An answer that Envoy gives by itself, which pages of other origins can read as those of the edge."""
    told = answer.get("response_headers_to_add", [])
    if cors is not None:
        if "*" not in cors.origins:
            told = [*told, VARIES]
        read = {**answer, "response_headers_to_add": [*told, *readable(cors)]}
        yield {"name": f"{name}: read", "match": place.match(reader(cors)), **read, **settings.answering}
    fields = {"response_headers_to_add": told} if told else {}
    yield {"name": name, "match": place.match(), **answer, **fields, **settings.answering}


def _direct(status: int, detail: str = "") -> Part:
    return {"direct_response": {"status": status, **({"body": {"inline_string": detail}} if detail else {})}}


def _is_websocket() -> Part:
    return text("upgrade", exact="websocket", ignore_case=True)
