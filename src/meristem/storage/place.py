"""Where the database of a URL is: the same for all ways to write one place."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_PORT: Final = "5432"
_LOOPBACK: Final = "127.0.0.1"


def place_of(url: str, directory: Path) -> str | None:
    """The file, or the server, database and schema; None for a temporary database, which nobody shares.

    A relative path is one below `directory`, and links are followed. Of a server's schema that a role finds by itself
    the role's name is told. A URL that can't be read, or is another adapter's, is told as it is.
    """
    family = url.partition(":")[0].partition("+")[0]
    try:
        if family == "sqlite":
            return _file(url, directory)
        return _schema(url) if family in ("postgresql", "postgres") else url
    except (ValueError, OSError):  # whoever opens it tells what is wrong
        return url


def _file(url: str, directory: Path) -> str | None:
    path = url.partition("://")[2].partition("/")[2].partition("?")[0]
    return None if path in {"", ":memory:"} else str((directory / path).resolve())


def _schema(url: str) -> str:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    user, _, netloc = parts.netloc.rpartition("@")
    port = options.get("port", _PORT)
    hosts = sorted(_host(each, port) for each in (netloc or options.get("host", "")).split(","))
    schema = options.get("schema") or f"that of {unquote(user.partition(':')[0])}"
    return f"{','.join(hosts)}/{unquote(parts.path.strip('/'))}, schema {schema}"


def _host(written: str, port: str) -> str:
    # Behind the bracket of an IPv6 address.
    address, bracket, rest = written.strip().rpartition("]")
    name, _, own = rest.partition(":")
    host = f"{address}{bracket}{name}".lower()
    return f"{_LOOPBACK if host == 'localhost' else host}:{own or port}"
