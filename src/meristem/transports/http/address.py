"""Addresses of servers: `unix:/run/shop.sock`, `tcp://host:port`, `https://host`, `fd:7` for an inherited socket."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from meristem.errors import ConfigurationError

HTTPS: Final = 443  # the port of an address that names none (RFC 9110, 4.2.2)


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: the path of a Unix socket, a host and port, or a socket that is open already.

    `secure` is a host and port that speaks TLS.
    """

    path: str = ""
    host: str = ""
    port: int = 0
    descriptor: int = -1
    secure: bool = False

    @staticmethod
    def parse(text: str) -> Address:
        """Read an address; raises ConfigurationError that shows the accepted forms."""
        scheme, _, rest = text.partition(":")
        if scheme == "unix" and rest:
            return Address(path="/" + rest.lstrip("/") if rest.startswith("/") else rest)
        if scheme == "fd" and rest.isdecimal():
            return Address(descriptor=int(rest))
        if scheme in ("tcp", "http") and rest.startswith("//"):
            host, separator, port = rest[2:].rstrip("/").rpartition(":")
            if separator and port.isdecimal() and int(port) <= 65535:
                return Address(host=host.strip("[]") or "0.0.0.0", port=int(port))  # noqa: S104 - as it was asked for
        if scheme == "https" and (address := _secure(rest)) is not None:
            return address
        raise ConfigurationError(
            f"{text!r} is no address: write unix:/run/shop.sock, tcp://127.0.0.1:8000 or https://shop.example"
        )

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        if self.descriptor >= 0:
            return f"fd:{self.descriptor}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'tcp'}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the `host` header says."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _secure(rest: str) -> Address | None:
    """The address that `https:` and this mean; None where it is none, as with a path, which no server's address has."""
    try:
        parts = urlsplit(f"https:{rest}")
        port = HTTPS if parts.port is None else parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return Address(host=parts.hostname, port=port, secure=True)
