"""Pages of other origins: what answers by itself, as preflights do, says it; the rest is Envoy's own filter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.answer_fields import field
from meristem.gateway.export.envoy.header_matchers import one_of, pattern, present, text
from meristem.gateway.policy.cors import origin_pattern
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.header_table import CorsTable

FILTER: Final = "envoy.filters.http.cors"
TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.cors.v3"
METHOD: Final = "access-control-request-method"
HEADERS: Final = "access-control-request-headers"


def cors_filter() -> Part:
    """Tells who may read answers, on the routes that say it."""
    return {"name": FILTER, "typed_config": {"@type": f"{TYPE}.Cors"}}


def readers(table: CorsTable) -> Part:
    """What a route says of who may read its answers."""
    told: Part = {"@type": f"{TYPE}.CorsPolicy", "allow_origin_string_match": [_origin(each) for each in table.origins]}
    if table.credentials:
        told["allow_credentials"] = True
    if table.expose:
        told["expose_headers"] = ", ".join(table.expose)
    return told


def asking(methods: frozenset[str] | None) -> list[Part]:
    """Preflights, of requests with these methods."""
    asked = present(METHOD) if methods is None or "OPTIONS" in methods else one_of(METHOD, methods)
    return [text(":method", exact="OPTIONS"), present("origin"), asked]


def granted(table: CorsTable) -> list[Part]:
    """Preflights to which the answer is yes."""
    name = "|".join(map(re.escape, table.headers))
    item = rf"[ \t]*(?:(?:{name})[ \t]*)?" if name else r"[ \t]*"
    headers = pattern(HEADERS, f"(?i){item}(?:,{item})*") | {"treat_missing_header_as_empty": True}
    origins = [] if "*" in table.origins else [reader(table)]
    return [*origins, one_of(METHOD, table.methods), headers]


def grant(table: CorsTable) -> list[Part]:
    """What the answer to such a preflight says."""
    fields = [field("vary", f"origin, {METHOD}, {HEADERS}"), *_allowed(table)]
    fields.append(field("access-control-allow-methods", ", ".join(sorted(table.methods))))
    if table.headers:
        fields.append(field("access-control-allow-headers", ", ".join(sorted(table.headers))))
    fields.append(field("access-control-max-age", f"{seconds_of(table.max_age):.0f}"))
    return fields


def reader(table: CorsTable) -> Part:
    """Requests of pages that may read the answer."""
    return (
        present("origin") if "*" in table.origins else pattern("origin", "|".join(map(origin_pattern, table.origins)))
    )


def readable(table: CorsTable) -> list[Part]:
    """What an answer to these says, where Envoy's filter leaves it out: that knows no route that answers by itself."""
    exposed = [field("access-control-expose-headers", ", ".join(table.expose))] if table.expose else []
    return [*_allowed(table), *exposed]


def _allowed(table: CorsTable) -> list[Part]:
    origin = field("access-control-allow-origin", "*")
    if "*" not in table.origins:
        origin["header"]["value"] = "%REQ(origin)%"
    return [origin, *([field("access-control-allow-credentials", "true")] if table.credentials else [])]


def _origin(origin: str) -> Part:
    return {"safe_regex": {"regex": origin_pattern(origin)}} if "*." in origin else {"exact": origin}
