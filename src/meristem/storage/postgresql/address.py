"""What a URL says: where the server is, as its libraries read it, and the options that are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from meristem.errors import ConfigurationError
from meristem.storage.postgresql.tls_refusals import TlsOptions, tls_options

ISOLATIONS: Final = ("read committed", "repeatable read", "serializable")
TARGETS: Final = ("read-write", "primary", "any", "read-only", "standby", "prefer-standby")
SSL_MODES: Final = ("prefer", "disable", "allow", "require", "verify-ca", "verify-full")
_LIBPQ: Final = frozenset(
    {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile", "target_session_attrs"}
)
_OURS: Final = ("schema", "pool", "server_pool", "pooler", "isolation", "listen")


class DatabaseAddress(NamedTuple):
    """A database on a server: `dsn` for the libraries, and how to use it."""

    dsn: str
    server: str
    """Names the server, without user and password."""
    schema: str | None
    limit: int
    server_limit: int
    pooled: bool
    """Whether a pooler stands before it that hands a connection on at the end of each transaction."""
    isolation: str
    tls: TlsOptions
    listen: str | None
    """Where the server itself is reached, to listen there."""


def read_address(url: str, name: str, *, writes: bool = True) -> DatabaseAddress:
    """Read a URL like `postgresql://shop_{service}:…@host/shop?schema={service}`; raises ConfigurationError.

    Where no server is wanted that takes `writes`, it is that of a replica.
    """
    parts = _split(url, name)
    # A plus is one, as libpq has it, and no blank: in the names of files both stand.
    options = dict(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    place, database = parts.netloc.rpartition("@")[2] or options.get("host", ""), parts.path.lstrip("/")
    if not place or not database:
        raise ConfigurationError(
            f"database {name!r}: the URL names no server or no database; write it like "
            f"postgresql://{name}:PASSWORD@host/shop?schema={name}"
        )
    for port in _ports(parts, options):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigurationError(f"database {name!r}: the URL has no port that can be: give one of 1 to 65535")
    if options.get("sslmode", SSL_MODES[0]) not in SSL_MODES:
        raise ConfigurationError(f"database {name!r}: sslmode is none of {', '.join(SSL_MODES)}")
    if options.get("target_session_attrs", TARGETS[0]) not in TARGETS:
        raise ConfigurationError(f"database {name!r}: target_session_attrs is none of {', '.join(TARGETS)}")
    unknown = options.keys() - _LIBPQ - set(_OURS)
    if unknown:
        raise ConfigurationError(
            f"database {name!r}: the URL has an unknown option {min(unknown)!r}; there are {', '.join(_OURS)}, and "
            f"of the server's library {', '.join(sorted(_LIBPQ))}"
        )
    isolation = options.get("isolation", ISOLATIONS[0]).replace("_", " ")
    if isolation not in ISOLATIONS:
        raise ConfigurationError(f"database {name!r}: isolation={isolation!r} is not one of {', '.join(ISOLATIONS)}")
    if options.get("pooler", "transaction") != "transaction":
        raise ConfigurationError(f"database {name!r}: the pooler is `transaction`, or it is not mentioned")
    # A standby would refuse the first write: who was sent to one looks for the primary among the hosts of the URL.
    theirs = {"target_session_attrs": "read-write" if writes else "any"} | {
        key: value for key, value in options.items() if key in _LIBPQ
    }
    return DatabaseAddress(
        # Encoded anew: of a `%` that stands for itself, and of a `+`, the libraries think differently.
        dsn=f"postgresql://{_encoded(parts.netloc)}/{quote(unquote(database))}?{urlencode(theirs, quote_via=quote)}",
        server=re.sub(r"\s", "", place),
        schema=options.get("schema") or None,
        limit=_number(name, options, "pool", 10),
        server_limit=_number(name, options, "server_pool", 20),
        pooled="pooler" in options,
        isolation=isolation,
        tls=tls_options(options, SSL_MODES[0]),
        listen=_direct(name, options.get("listen")),
    )


def _encoded(netloc: str) -> str:
    """User, password and hosts."""
    whom, at, hosts = netloc.rpartition("@")
    return ":".join(quote(unquote(each), safe="") for each in whom.split(":", 1)) + at + hosts


def _direct(name: str, url: str | None) -> str | None:
    if url is not None and (
        not url.startswith(("postgresql://", "postgres://")) or not _split(url, name).path.strip("/")
    ):
        raise ConfigurationError(
            f"database {name!r}: listen= is the URL of the server itself, percent-encoded: postgresql%3A%2F%2F…"
        )
    return url


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may hold the password
        raise ConfigurationError(
            f"database {name!r}: the URL has a [ or ] that belongs to no address: write those of a password as %5B "
            "and %5D"
        ) from None
    if parts.fragment:
        raise ConfigurationError(f"database {name!r}: the URL has a # in it: write that of a password as %23")
    if "@" in parts.path:
        raise ConfigurationError(f"database {name!r}: the URL has a / before its @: write that of a password as %2F")
    return parts


def _ports(parts: SplitResult, options: Mapping[str, str]) -> list[str]:
    """The ports that are written: each host may have one, and an option may hold one or several."""
    # Behind the bracket of an IPv6 address; what is empty leaves the usual one.
    written = [host.rpartition("]")[2].partition(":")[2] for host in parts.netloc.rpartition("@")[2].split(",")]
    return [each for each in (*written, *options.get("port", "").split(",")) if each]


def _number(name: str, options: dict[str, str], key: str, usual: int) -> int:
    text = options.get(key, str(usual))
    if not text.isdecimal() or int(text) < 2:
        raise ConfigurationError(
            f"database {name!r}: {key}={text} is no number of connections; give 2 or more, one is for reads alone"
        )
    return int(text)
