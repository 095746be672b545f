"""What a placement may say of a gRPC port, read without grpcio."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.errors import ConfigurationError

FILES: Final = ("certificate", "key", "client_ca")
Text: TypeAlias = Annotated[str, Meta(min_length=1, description="at least one character")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535, description="one between 1 and 65535")]
Streams: TypeAlias = Annotated[int, Meta(ge=1)]
Period: TypeAlias = Annotated[float, Meta(ge=1, le=86400.0, description="1 second to a day")]


class GrpcPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A port for gRPC: `listen = 50051`, or `"0.0.0.0:50051"` with its host.

    `certificate` and `key` are PEM files and turn TLS on; with `client_ca` each client must show a certificate that
    one of these authorities has signed. `reflection` tells anybody what is served here; left out, it follows the
    page of the API. Replies are compressed with `compression = "gzip"`, for clients that take it.

    A connection carries at most `streams` calls at a time. After `age` seconds its client is asked to connect anew, so
    that a new replica gets its share behind a balancer of connections. A client that is silent for `keepalive` seconds
    is asked whether it lives.
    """

    listen: Port | Text
    certificate: Text | None = None
    key: Text | None = None
    client_ca: Text | None = None
    reflection: bool | None = None
    compression: Literal["gzip"] | None = None
    streams: Streams = 1000
    age: Period | None = None
    keepalive: Period = 60.0

    @staticmethod
    def of(written: Any) -> GrpcPort | None:
        """What is written under `grpc` in a table of a server: a port, an address or a table; None for nothing."""
        if written is None:
            return None
        return msgspec.convert(written if isinstance(written, dict) else {"listen": written}, GrpcPort)

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        if (self.certificate is None) != (self.key is None):
            return "certificate and key: give both or neither"
        if self.client_ca is not None and self.certificate is None:
            return "client_ca: give certificate and key, too"
        try:
            self.address("127.0.0.1")
        except ConfigurationError as error:
            return str(error)
        return None

    def address(self, host: str) -> str:
        """Where it listens, on `host` unless it names one: `127.0.0.1:50051`; raises ConfigurationError."""
        if isinstance(self.listen, int):
            return joined(host, self.listen)
        own, _, port = self.listen.rpartition(":")
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ConfigurationError(f'listen = {self.listen!r} is no port: write 50051 or "0.0.0.0:50051"')
        return joined(own.strip("[]") or host, int(port))


def joined(host: str, port: int) -> str:
    """`127.0.0.1:50051`, or `[::1]:50051`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
