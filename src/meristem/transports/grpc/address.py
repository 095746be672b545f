"""Addresses of gRPC servers: `grpc://host:port`, `grpc+unix:/path`, and `grpcs://host:port?ca=/path` for TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from meristem.errors import ConfigurationError

FILES: Final = ("ca", "certificate", "key")
HOST: Final = re.compile(r"[\w.-]+|\[[\w:.%-]+\]")  # an IPv6 address stands in brackets (RFC 3986, section 3.2.2)
KEPT: Final = "?kept=true"
FORMS: Final = "write grpc://127.0.0.1:50051, grpc+unix:/run/shop.sock or grpcs://shop.example:443?ca=/path/ca.pem"


class GrpcAddress(msgspec.Struct, frozen=True):
    """Where a gRPC server is, as grpcio names it (`target`), and the PEM files by which both ends are known.

    `name` is the name in the server's certificate where it is another than its host's. `kept` is the path of a socket
    whose name is there as long as somebody sees to it that a server is, too.
    """

    text: str
    target: str
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    name: str | None = None
    kept: Path | None = None

    @staticmethod
    def parse(text: str) -> GrpcAddress:
        """Read an address; raises ConfigurationError that shows the accepted forms."""
        scheme, _, rest = text.partition(":")
        if scheme == "grpc+unix" and rest.startswith("/"):
            path = f"/{rest.lstrip('/').removesuffix(KEPT)}"
            return GrpcAddress(text, f"unix:{path}", kept=Path(path) if rest.endswith(KEPT) else None)
        place, _, query = rest.removeprefix("//").partition("?")
        host, separator, port = place.rstrip("/").rpartition(":")
        is_place = (
            rest.startswith("//") and HOST.fullmatch(host) and separator and port.isdecimal() and int(port) <= 65535
        )
        options: dict[str, Any] = dict(parse_qsl(query))
        known = {*FILES, "name"} if scheme == "grpcs" else set()
        if scheme not in ("grpc", "grpcs") or not is_place:
            raise ConfigurationError(f"{text!r} is no address of a gRPC server: {FORMS}")
        if strange := ", ".join(f"{each}=" for each in sorted(options.keys() - known)):
            raise ConfigurationError(
                f"{text!r} has {strange}: grpcs:// takes ca=, certificate=, key= and name=, and grpc:// nothing"
            )
        # By its resolver's name: a host that is called like a scheme would be taken for one.
        return GrpcAddress(text, f"dns:///{host}:{port}", scheme == "grpcs", **options)

    def __str__(self) -> str:
        return self.text.partition("?")[0]
