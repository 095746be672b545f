"""What the Gateway API does with the requests of a route, beside sending them on."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from meristem.gateway.export.kubernetes.host_tables import METHODS, ROOT, PathMatch, can_be_named
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.header_table import CorsTable
    from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable

FIELDS: Final = 16
"""How many header fields a filter can set, and how many it can remove."""
CORS_ENTRIES: Final = 64
ANY: Final = "*"
LONGEST: Final = 99_999 * 3600


def filters_of(table: GatewayTable, route: GatewayRouteTable, path: PathMatch) -> list[dict[str, Any]]:
    """The filters of a route at a path."""
    redirect = redirect_of(route)
    found = [] if redirect is None else [_redirect(redirect, path)]
    if (
        (route.redirection is None or redirect is not None)
        and (cors := route.cors or table.cors) is not None
        and can_hold_cors(cors)
    ):
        found.append({"type": "CORS", "cors": _cors(cors)})
    setting, removed = answer_fields(table, route, answered_here=redirect is not None)
    told = {
        **({"set": [{"name": name, "value": value} for name, value in setting.items()]} if setting else {}),
        **({"remove": removed} if removed else {}),
    }
    if told and can_hold_fields(setting, removed):
        found.append({"type": "ResponseHeaderModifier", "responseHeaderModifier": told})
    return found


def timeouts_of(route: GatewayRouteTable) -> dict[str, str] | None:
    """The timeout of a route, where it is of the same things."""
    if route.timeout is None or not can_hold_timeout(route):
        return None
    return {"request": duration(seconds_of(route.timeout))}


def needs_own_rule(route: GatewayRouteTable) -> bool:
    """Whether what is done depends on the path of a match, so that no other may be beside it."""
    redirect = redirect_of(route)
    return redirect is not None and redirect.keep_path and bool(urlsplit(redirect.to).path.rstrip("/"))


def redirect_of(route: GatewayRouteTable) -> RedirectTable | None:
    """The redirect of a route, if a filter can send there: a query is always kept."""
    redirect = route.redirection
    if redirect is None or not redirect.keep_query:
        return None
    to = urlsplit(redirect.to)
    with contextlib.suppress(ValueError):  # a port that is none
        if not to.netloc or (can_be_named(to.hostname or "") and to.port != 0):
            return redirect
    return None


def can_hold_cors(cors: CorsTable) -> bool:
    """Whether a filter can say all of it, and no more: what browsers send unasked it always allows."""
    lists = (cors.origins, cors.headers, cors.expose)
    return (
        {"GET", "HEAD", "POST"} <= {*cors.methods} <= {*METHODS}
        and all(0 < len(each) <= CORS_ENTRIES for each in (cors.origins, *filter(None, lists)))
        and ANY not in (*cors.headers, *cors.expose)
        and seconds_of(cors.max_age) >= 1
    )


def can_hold_fields(setting: dict[str, str], removed: list[str]) -> bool:
    """Whether a filter can set and remove all of these."""
    return len(setting) <= FIELDS and len(removed) <= FIELDS and all(setting.values())


def can_hold_timeout(route: GatewayRouteTable) -> bool:
    """Whether the time is for all of an answer, as it is for one of an operation."""
    return bool(route.operations) and route.app is None


def answer_fields(
    table: GatewayTable, route: GatewayRouteTable, *, answered_here: bool = False
) -> tuple[dict[str, str], list[str]]:
    """What answers are given, and what they lose.

    What browsers are told by default the edge behind says, where an app does not; of what is `answered_here` nobody
    else does.
    """
    rules = table.headers.with_own(route.headers)
    setting, removed = rules.set, [*rules.remove]
    if answered_here:
        told = {name.decode(): value.decode() for name, value in table.headers.security.fields(https=False)}
        setting = {**{name: value for name, value in told.items() if name not in removed}, **setting}
    return setting, removed


def duration(seconds: float) -> str:
    """A time as the Gateway API writes it (GEP-2257): whole numbers with units, of five digits at most."""
    rest, told = math.ceil(min(seconds, LONGEST) * 1000), ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, rest = divmod(rest, size)
        told += f"{number}{unit}" if number else ""
    return told or "0s"


def _redirect(redirect: RedirectTable, path: PathMatch) -> dict[str, Any]:
    to = urlsplit(redirect.to)
    told: dict[str, Any] = {}
    if to.scheme:
        told = {"scheme": to.scheme, "hostname": to.hostname}
        if to.port is not None:
            told["port"] = to.port
    if not redirect.keep_path:
        told["path"] = {"type": "ReplaceFullPath", "replaceFullPath": to.path or "/"}
    elif base := to.path.rstrip("/"):
        if path.type == "PathPrefix":
            before = base if path == ROOT else base + path.value
            told["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": before}
        else:
            told["path"] = {"type": "ReplaceFullPath", "replaceFullPath": base + path.value}
    return {"type": "RequestRedirect", "requestRedirect": {**told, "statusCode": redirect.status}}


def _cors(cors: CorsTable) -> dict[str, Any]:
    told: dict[str, Any] = {
        "allowOrigins": [ANY] if ANY in cors.origins else [*dict.fromkeys(cors.origins)],
        "allowMethods": [*dict.fromkeys(cors.methods)],
    }
    if cors.headers:
        told["allowHeaders"] = [*dict.fromkeys(cors.headers)]
    if cors.credentials:
        told["allowCredentials"] = True
    if cors.expose:
        told["exposeHeaders"] = [*dict.fromkeys(cors.expose)]
    told["maxAge"] = int(seconds_of(cors.max_age))
    return told
