"""Asks the operators' side of the system that runs from here, for verbs that else look into its databases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from meristem.errors import CallError, Code
from meristem.system.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from meristem.system.blueprint import Blueprint
    from meristem.system.system_status import SystemStatus

Told = TypeVar("Told")
UNKNOWN: Final = frozenset({Code.UNIMPLEMENTED, Code.UNKNOWN})  # of an answer that is none of the contract


def ask_run(
    blueprint: Blueprint, directory: Path, contract: type[Any], question: Callable[[Any], Awaitable[Told]]
) -> Told | None:
    """What the running system answers to a client of `contract`; None where nobody there knows it.

    So it is where none runs, where it has no socket for its operators, where a placement says `dashboard = false`, and
    where an older release runs. Raises CallError for what it refuses.
    """
    return ask_running(StateDirectory(directory, blueprint.system.name).running(), contract, question)


def ask_running(
    running: SystemStatus | None, contract: type[Any], question: Callable[[Any], Awaitable[Told]]
) -> Told | None:
    """As `ask_run`, of a system that was found running."""
    address = None if running is None else running.operator_socket
    if address is None:
        return None
    try:
        return asyncio.run(_ask(address, contract, question))
    except CallError as error:
        is_away = error.code is Code.UNAVAILABLE and not error.answered and not error.may_have_happened
        if error.code in UNKNOWN or is_away:  # it ended just now
            return None
        raise


async def _ask(address: str, contract: type[Any], question: Callable[[Any], Awaitable[Told]]) -> Told:
    from meristem.runtime.remote import RemoteSystem  # noqa: PLC0415 - takes a tenth of a second

    async with RemoteSystem(address) as system:
        return await question(system.client(contract))
