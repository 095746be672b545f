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


async def test_a_saga_whose_patch_is_forgotten_too_early_is_told_before_the_release_and_after_it(office, meristem):
    await begin(office, "office", "Bob")
    [bob, _] = (await meristem("sagas", "list", "--json")).json["leave"]
    write(office, "office", "")
    replayed = await meristem("sagas", "replay", "--all")
    await meristem("sagas", "cancel", bob["id"])
    shown = await meristem("sagas", "show", bob["id"])
    write(office, "office", '(deprecated_patches=["ask the boss"])')
    kept = await meristem("sagas", "replay", "--all")

    assert replayed.code == 1
    assert f"{bob['id']}: it took the patch 'ask the boss', of which the code knows nothing" in replayed.out
    assert "2 sagas replayed: 1 would leave the journal." in replayed.out
    assert "running, cancelled" in shown.out
    assert kept.code == 0, kept.out


async def test_a_fork_that_no_replica_would_take_up_is_not_begun(office, meristem):
    twice = "        await flow.sleep(0.01)\n" * 2
    new = OFFICE.replace("        await flow.sleep(86400.0)\n", twice)
    (office / "office_quick.py").write_text(new.replace("@saga", '@saga(patches=["ask the boss"])'))
    await begin(office, "office_quick", "Bob")
    [bob, _] = (await meristem("sagas", "list", "--json")).json["leave"]
    (office / "office.py").write_text(new)  # which has forgotten the patch
    replayed = await meristem("sagas", "replay", bob["id"])
    refused = await meristem("sagas", "fork", bob["id"], "--from", "1")
    anew = await meristem("sagas", "fork", bob["id"], "--from", "0")

    assert bob["state"] == "done"
    assert replayed.code == 0, replayed.out  # it has ended, and asks for nothing more
    assert (refused.code, "of which the code knows nothing" in " ".join(refused.err.split())) == (2, True)
    assert anew.code == 0, anew.err  # with no answer it has no patch to keep
