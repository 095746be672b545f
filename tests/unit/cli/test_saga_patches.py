"""`meristem sagas drain-check`: a release is told by its exit code whether it may drop an old path."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from meristem.testing import running

OFFICE = """
from typing import Protocol
from meristem import Contract, Flow, Service, System, once, saga

class Leave(Contract, Protocol, package="office.v1"):
    @once(timeout=60.0)
    async def ask(self, name: str) -> str: ...

class LeaveService(Leave, Service):
    @saga
    async def ask(self, flow: Flow, name: str) -> str:
        await flow.sleep(86400.0)
        return name

system = System("office", services=[LeaveService])
"""


def write(project: Path, module: str, declaration: str) -> None:
    (project / f"{module}.py").write_text(OFFICE.replace("@saga", f"@saga{declaration}"))


async def begin(project: Path, module: str, name: str) -> None:
    """A saga that sleeps, begun by the code of a module."""
    spec = importlib.util.spec_from_file_location(module, project / f"{module}.py")
    sys.modules[module] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    place = f"sqlite:///{project}/.meristem/office/{{service}}.db"
    async with running(loaded.system, database=place) as app:
        asking = asyncio.ensure_future(app.client(loaded.Leave).ask(name))
        await asyncio.sleep(0)
        await app.settled()
    await asyncio.gather(asking, return_exceptions=True)
    del sys.modules[module]


@pytest.fixture
async def office(project: Path) -> Path:
    """An office with a saga of a release without the patch."""
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "office:system"\n')
    write(project, "office_before", "")
    write(project, "office", '(patches=["ask the boss"])')
    await begin(project, "office_before", "Ada")
    return project


async def test_it_fails_as_long_as_a_saga_runs_without_the_patch(office, meristem):
    await begin(office, "office", "Bob")
    every = (await meristem("sagas", "list", "--json")).json["leave"]
    without = await meristem("sagas", "drain-check", "ask the boss")
    taken = await meristem("sagas", "drain-check", "ask the boss", "--taken", "--json")

    bob, ada = [each["id"] for each in every]
    assert (without.code, ada in without.out, bob in without.out) == (1, True, False)
    assert "1 saga still runs without 'ask the boss': keep the old path." in without.out
    assert (taken.code, [each["id"] for each in taken.json["leave"]]) == (1, [bob])


async def test_it_succeeds_when_none_is_left(office, meristem):
    taken = await meristem("sagas", "drain-check", "ask the boss", "--taken")
    assert (taken.code, taken.out) == (0, "No saga runs with 'ask the boss'.\n")


async def test_a_name_that_no_saga_has_is_a_wrong_argument(office, meristem):
    wrong = await meristem("sagas", "drain-check", "ask the bos")
    assert wrong.code == 2
    assert "there are ask the boss" in " ".join(wrong.err.split())
