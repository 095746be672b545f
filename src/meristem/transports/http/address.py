"""Addresses of servers: `unix:/run/shop.sock`, `tcp://host:port`, and `fd:7` for a socket that was inherited."""

from __future__ import annotations

import msgspec

from meristem.errors import ConfigurationError


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: the path of a Unix socket, a host and port, or a socket that is open already."""

    path: str = ""
    host: str = ""
    port: int = 0
    descriptor: int = -1

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
        raise ConfigurationError(f"{text!r} is no address: write unix:/run/shop.sock or tcp://127.0.0.1:8000")

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        if self.descriptor >= 0:
            return f"fd:{self.descriptor}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the `host` header says."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
