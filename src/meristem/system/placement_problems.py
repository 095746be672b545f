"""What the tables of a placement may not say, whatever system they place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.bounds import misfit, unfit
from meristem.errors import ConfigurationError
from meristem.hints import meant
from meristem.resilience.limits import Limits
from meristem.security.forwarding import TrustedProxies
from meristem.system.resource_bounds import LEAST, size_of
from meristem.transports.grpc.grpc_port import GrpcPort
from meristem.transports.http.address import Address
from meristem.webhooks.posting import wrong_url

NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
TYPES: Final = re.compile(r"\*|(?:\w+\.)+(?:\w+|\*)")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.system.placement_tables import EventSubscriber, OperatorTable, ProcessTable


def wrong_limit(table: str, written: dict[str, Any]) -> str | None:
    """What is wrong with the limits of a server that stand in a table."""
    known = (*Limits.__struct_fields__, "grpc")
    strange = next((name for name in written if name not in known), None)
    if strange is not None:
        return f"[{table}]: {unknown('limit', strange, known)}"
    limits = {name: value for name, value in written.items() if name != "grpc"}
    if (problem := misfit(limits, Limits, table) or _wrong_port(table, written.get("grpc"))) is not None:
        return problem
    try:
        TrustedProxies(written.get("trusted_proxies", ()))
    except ConfigurationError as error:
        return f"[{table}]: {error}"
    return None


def _wrong_port(table: str, written: Any) -> str | None:
    if written is None:
        return None
    port = written if isinstance(written, dict) else {"listen": written}
    if (problem := misfit(port, GrpcPort, f"{table}.grpc")) is not None:
        return problem
    found = msgspec.convert(port, GrpcPort).problem()
    return None if found is None else f"[{table}.grpc]: {found}"


def wrong_number(name: str, process: ProcessTable) -> str | None:
    """What is wrong with a number in the table of a process."""
    if (problem := unfit(process)) is not None:
        return f"[processes.{name}]: {problem}"
    if process.memory is not None and size_of(process.memory) < LEAST:
        return f"[processes.{name}]: memory = {process.memory!r}; give at least {LEAST >> 20} MiB"
    return None


def wrong_address(address: str) -> str | None:
    """What is wrong with an address for operators."""
    try:
        secure = Address.parse(address).secure
    except ConfigurationError as error:
        return f"[operator]: listen: {error}"
    return f"[operator]: listen: {address}: it serves no TLS by itself; let a proxy do that" if secure else None


def wrong_public(operator: OperatorTable) -> str | None:
    """What is wrong with how others reach the dashboard."""
    public = operator.public
    if public is None:
        return None
    if not operator.dashboard:
        return "[operator.public]: there is no dashboard to show: leave out dashboard = false, or this table"
    if (public.certificate is None) != (public.key is None):
        return "[operator.public]: certificate and key belong together: give both, or none behind a proxy"
    odd = next((each for each in public.hosts if "/" in each or ":" in each), None)
    return None if odd is None else f"[operator.public]: hosts: {odd!r}: a name alone, without https:// and port"


def wrong_subscriber(name: str, subscriber: EventSubscriber) -> str | None:
    """What is wrong with a subscriber outside."""
    table = f"events.subscribers.{name}"
    if NAME.fullmatch(name) is None:
        return f"[{table}]: a subscriber is called by small letters, digits, - and _"
    if (problem := wrong_url(subscriber.url)) is not None:
        return f"[{table}]: url: {problem}"
    for each in subscriber.types:
        if TYPES.fullmatch(each) is None:
            return f"[{table}]: types: {each!r} is no type; write shop.orders.v1.Ordered, shop.orders.v1.* or *"
    return None


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """That there is nothing of a name, and which one may be meant."""
    hint = meant(name, known, f"there are {', '.join(known) or 'none'}")
    return f"there is no {kind} {name!r}; {hint}"
