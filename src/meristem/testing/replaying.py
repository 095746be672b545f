"""Replays exported journals of sagas in a test: the code must still follow what it once began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.errors import MisuseError
from meristem.runtime.rehearsal import Rehearsal
from meristem.sagas.replay import read_journals
from meristem.system.blueprint import Blueprint
from meristem.system.system import System
from meristem.testing.harness import load_system

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


async def replay_sagas(
    system: System | str, *paths: Path, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Run the journals of those files and folders against the code of a system, without any effect.

    `meristem sagas export ID --out FOLDER` writes them. Raises AssertionError that tells each saga whose journal the
    code would leave, and at which step; ConfigurationError where there is no journal. `settings` are by service.
    """
    if not paths:
        raise MisuseError("replay_sagas(system, Path(…)): name the files or folders with the journals")
    found = system if isinstance(system, System) else load_system(system)
    rehearsal = Rehearsal(Blueprint(found), overrides=settings, environment={})
    left = []
    for journal in read_journals(paths):
        divergence = await rehearsal.replay(journal)
        if divergence is not None:
            left.append(f"{journal.service}: saga {journal.saga.name} {journal.saga.id}: {divergence.text}")
    if left:
        raise AssertionError("\n".join(left))
