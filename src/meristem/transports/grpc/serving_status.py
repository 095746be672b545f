"""Asks a server of any make by the standard health protocol (`grpc.health.v1`) whether it serves."""

from __future__ import annotations

from meristem.resilience.limits import ClientLimits
from meristem.transports.grpc.address import GrpcAddress
from meristem.transports.grpc.grpc_channel import opened
from meristem.transports.grpc.health_checking import SERVICE
from meristem.transports.grpc.library import grpc, health_pb2


async def is_serving(target: str, patience: float) -> bool:
    """Whether the whole server at `host:port` says SERVING within `patience` seconds; False for one that says nothing.

    It is asked without TLS.
    """
    channel = opened(GrpcAddress.parse(f"grpc://{target}"), ClientLimits())
    try:
        check = channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(), timeout=patience)
    except grpc.RpcError:
        return False
    finally:
        await channel.close()
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
