"""Asks a program whether it is ready, in the way that it says: by its port, a path, or gRPC's health protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.errors import ConfigurationError
from meristem.supervision.readiness import PATIENCE, accepts, answers

if TYPE_CHECKING:
    from meristem.system.plan import ProgramPlan

HealthCheck: TypeAlias = Callable[[int], Awaitable[bool]]
"""Whether what listens on a port of this host is ready."""

HOST: Final = "127.0.0.1"


def health_check(program: ProgramPlan) -> HealthCheck:
    """How a program is asked; ConfigurationError where gRPC is wanted and not installed."""
    if program.health is None:
        return _always
    if program.health == "tcp":
        return lambda port: accepts(f"tcp://{HOST}:{port}")
    if program.health == "grpc":
        try:
            from meristem.transports.grpc.serving_status import is_serving  # noqa: PLC0415 - an extra
        except ConfigurationError as error:
            raise ConfigurationError(f'program {program.name!r}: health="grpc": {error}') from error
        return lambda port: is_serving(f"{HOST}:{port}", PATIENCE)
    path = program.health
    return lambda port: answers(f"tcp://{HOST}:{port}", path)


async def _always(_: int) -> bool:
    return True
