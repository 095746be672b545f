"""Where a process listens, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meristem.transports.grpc.grpc_port import GrpcPort


class Listen(NamedTuple):
    """An address to listen on: `tcp://…`, `unix:…` or `fd:…` for HTTP, `grpc://…` or `grpc+unix:…` for gRPC.

    A public one is for anybody: RPC, REST, apps and a bare `/health`. The others are for the system's own: RPC of what
    lives here, and the probes. `port` says more of one for gRPC; several processes may listen at a `shared` one. Of TCP
    one that is written `http://…` speaks no TLS.
    """

    address: str
    public: bool
    port: GrpcPort | None = None
    shared: bool = False

    @property
    def is_grpc(self) -> bool:
        return self.address.startswith(("grpc:", "grpc+unix:"))
