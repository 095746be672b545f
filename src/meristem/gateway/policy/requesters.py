"""Whom a limit counts as one: the key of a request, by its address, its user or what else the table names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.security.crowds import crowd_of

if TYPE_CHECKING:
    from meristem.gateway.policy.visit import Visit

KeyOf: TypeAlias = Callable[["Visit"], str]
LONGEST: Final = 128  # characters of a key: a subject is as long as whoever made the token likes
BETWEEN: Final = "\x1f"  # the parts of a key, none of which has it
IDENTITIES: Final = frozenset({"user", "tenant", "api_key"})
"""What is known once it is known who asks."""

PERSONAL: Final = frozenset({"address", "user", "api_key"})
"""What one requester is counted by: where another's requests count too, a refusal says nothing about who is refused."""


def kinds_of(by: str | tuple[str, ...]) -> tuple[str, ...]:
    """What a table's `by` names."""
    return (by,) if isinstance(by, str) else by


def asks_who(by: str | tuple[str, ...]) -> bool:
    """Whether it is counted by what is known only once it is known who asks."""
    return not IDENTITIES.isdisjoint(kinds_of(by))


def is_personal(by: str | tuple[str, ...]) -> bool:
    """Whether each requester is counted apart."""
    return not PERSONAL.isdisjoint(kinds_of(by))


def key_of(by: str | tuple[str, ...]) -> KeyOf:
    """What gives the key of a request."""
    parts = [PARTS[each] for each in kinds_of(by)]
    if len(parts) == 1:
        return parts[0]
    return lambda visit: BETWEEN.join(part(visit) for part in parts)


def address_key(visit: Visit) -> str:
    """The address; of IPv6 the network of 64 bits, all of which one host may have."""
    client = visit.request.client
    return crowd_of(client) if ":" in client else client


def _user(visit: Visit) -> str:
    user = visit.user
    return address_key(visit) if user is None else short("user " + user.subject)


def _tenant(visit: Visit) -> str:
    tenant = "" if visit.user is None else visit.user.tenant
    return short("tenant " + tenant) if tenant else _user(visit)


def _api_key(visit: Visit) -> str:
    return short("key " + visit.api_key) if visit.api_key else address_key(visit)


def _route(visit: Visit) -> str:
    return "route " + visit.route


def _everybody(visit: Visit) -> str:  # noqa: ARG001 - of the same shape as the others
    return "everybody"


def short(key: str) -> str:
    """The key; one that is long, or has what stands between the parts of others, as a hash."""
    return key if len(key) <= LONGEST and key.isprintable() else _hashed(key)


@lru_cache(1_000)
def _hashed(key: str) -> str:
    return "hash " + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


PARTS: Final[dict[str, KeyOf]] = {
    "address": address_key,
    "user": _user,
    "tenant": _tenant,
    "api_key": _api_key,
    "route": _route,
    "everybody": _everybody,
}
