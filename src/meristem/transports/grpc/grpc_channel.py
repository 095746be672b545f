"""The channel to a server, and what goes with each call on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from meristem.errors import MisuseError
from meristem.head_fields import BAGGAGE, POSITIONS, TRACE, TRACE_STATE
from meristem.transports.grpc.credentials import channel_credentials
from meristem.transports.grpc.library import aio
from meristem.transports.grpc.methods import OWN_AGENT
from meristem.transports.grpc.status import OWN_DETAILS
from meristem.transports.metadata import KEY, TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.resilience.limits import ClientLimits
    from meristem.transports.grpc.address import GrpcAddress

CARRIED: Final = tuple(each.decode() for each in (TRACE, TRACE_STATE, BAGGAGE, KEY, POSITIONS))
Fields: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata as grpcio takes it."""


def opened(address: GrpcAddress, limits: ClientLimits) -> Any:
    """A channel to an address; it connects when a call needs it."""
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", OWN_AGENT),
        ("grpc.max_receive_message_length", limits.reply_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 2 * OWN_DETAILS),
        ("grpc.absolute_max_metadata_size", 4 * OWN_DETAILS),
        # A replica that is started again is there within a second; grpcio would wait up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000 if address.kept is None else 100),
        # More often is more than other servers let a client ask.
        ("grpc.keepalive_time_ms", 300_000),
        # Retries are the caller's, who knows what may be repeated.
        ("grpc.enable_retries", 0),
        # As with HTTP, what stands between is not the environment's to say: a loopback behind a proxy is nowhere.
        ("grpc.enable_http_proxy", 0),
        # Each client has a connection of its own: that of another one may be broken, or about to close.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if not address.tls:
        return aio.insecure_channel(address.target, options)
    if address.name is not None:
        options.append(("grpc.ssl_target_name_override", address.name))
    credentials = channel_credentials(address.ca, address.certificate, address.key)
    return aio.secure_channel(address.target, credentials, options)


def own_fields(headers: Mapping[str, str]) -> Fields:
    """The metadata of a caller's own headers; MisuseError for what grpcio would refuse at each call."""
    fields = tuple((name.lower(), value.strip()) for name, value in headers.items())
    for name, value in fields:
        if name.startswith("grpc-") or name in CARRIED or name == TOKEN.decode():
            raise MisuseError(f"the header field {name!r} is written by the client itself")
        sound = name.replace("-", "").replace("_", "").replace(".", "")
        if (
            not (sound.isascii() and sound.isalnum())
            or name.endswith("-bin")
            or not (value.isascii() and value.isprintable())
        ):
            raise MisuseError(f"{name!r} is no header field: a name of letters and `-`, a value of visible characters")
    return fields
