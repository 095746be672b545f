"""The registry of wires: an address's scheme, and the client that speaks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from meristem.adapters import Adapters
from meristem.resilience.limits import ClientLimits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from meristem.transports.endpoint import EndpointClient, Sign


class OpenClient(Protocol):
    """What a package brings under the entry point group `meristem.clients`, named like its addresses' scheme."""

    def __call__(
        self,
        address: str,
        *,
        sign: Sign | None,
        limits: ClientLimits,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
    ) -> EndpointClient:
        """A client of `address`; raises ConfigurationError for one that can't be meant. `headers` go with each call.

        `tls` is what its user chose; without it certificates are verified as the machine does.
        """
        ...


_HTTP: Final = "meristem.transports.http.client.http_client:HttpClient"
_GRPC: Final = "meristem.transports.grpc.grpc_client:GrpcClient [grpc]"

CLIENTS: Final[Adapters[OpenClient]] = Adapters(
    "address",
    "meristem.clients",
    {"unix": _HTTP, "tcp": _HTTP, "http": _HTTP, "https": _HTTP, "grpc": _GRPC, "grpcs": _GRPC},
    example="tcp://127.0.0.1:8000",
)


def client_for(
    address: str,
    *,
    sign: Sign | None = None,
    limits: ClientLimits | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> EndpointClient:
    """A client of the process at `address`: `unix:/run/shop.sock`, `tcp://host:port`, `http://…` or `https://…`.

    By gRPC it is `grpc+unix:/run/shop.sock`, `grpc://host:port`, or `grpcs://host:port?ca=/path/ca.pem`.

    Raises ConfigurationError for a scheme without an adapter, and for an address that its adapter can't read.
    """
    adapter = CLIENTS.adapter(address)
    return adapter(address, sign=sign, limits=limits or ClientLimits(), headers=headers or {}, tls=tls)
