"""A process may have an interpreter and packages of its own; what it answers is understood by all the others."""

import importlib.metadata
import sys

import pytest
from interpreters import ANOTHER, OLDER
from systems.packages import Asking, Packages

SYSTEM = "systems.packages:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_service_has_the_packages_of_its_process_and_calls_cross_between_them(app, where):
    ours = importlib.metadata.version("idna")
    theirs = OLDER if where == "named" else ours

    assert await app.client(Packages).version("idna") == theirs
    assert await app.client(Asking).version("idna") == f"{ours} here, {theirs} there"


async def test_a_service_runs_in_the_interpreter_of_its_process(app, where):
    version, executable = (await app.client(Packages).python()).split(" ", 1)

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert version == (ANOTHER[0] if where == "named" else here)
    assert (executable == sys.executable) == (where != "named")


async def test_services_are_of_the_release_of_their_process(app, where):
    found = await app.client(Asking).releases()

    assert found == (["newer", "older"] if where == "skewed" else ["systems", "systems"])
