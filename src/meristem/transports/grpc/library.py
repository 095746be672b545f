"""grpcio and what comes with it, imported here for the whole folder: an extra, which most processes never load."""

from __future__ import annotations

import os

from meristem.errors import ConfigurationError

# grpcio writes to stderr by itself, and says there again what its errors say; who wants it sets the variable.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

try:
    import grpc  # type: ignore[import-untyped]
    from google.protobuf import any_pb2, descriptor_pb2  # type: ignore[import-untyped]
    from google.protobuf.json_format import Error as ProtobufError  # type: ignore[import-untyped]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
    from grpc import aio
    from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
    from grpc_reflection.v1alpha import reflection_pb2  # type: ignore[import-untyped]
except ImportError as error:
    raise ConfigurationError(f"gRPC needs an extra ({error.name} is missing): pip install 'meristem[grpc]'") from error

__all__ = [
    "DecodeError",
    "ProtobufError",
    "aio",
    "any_pb2",
    "descriptor_pb2",
    "error_details_pb2",
    "grpc",
    "health_pb2",
    "reflection_pb2",
    "status_pb2",
]
