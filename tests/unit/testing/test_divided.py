"""`meristem check --divided` finds what ends at a process, names it, and is silent about what varies by itself."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.suites.command import Ended, begin, ended
from tests.suites.sampled import sampled

PLANTED = Path(__file__).parent / "planted"
PATIENCE = 400.0  # seconds for what takes 40 on an idle machine

# What is told of each test of `suite_apart.py`.
APART: dict[str, dict[str, Any]] = {
    "state": {"operation": "Right.count", "at": "reply", "expected": {"reply": 2}, "found": {"reply": 1}},
    "shared_reply": {"at": "reply.cents"},
    "changed_argument": {"expected": {"reply": ["lamp", "dust"]}},
    "lost_field": {"arguments": {"article": "lamp"}, "at": "fields.hint"},
    "event": {"kind": "happenings", "at": "plant.v1.Sold published", "expected": 1, "found": 0},
    "carried": {"kind": "event", "operation": "plant.v1.Noted published by left", "at": "hint"},
    "failing": {"kind": "failed", "operation": "Right.count"},
}

pytestmark = pytest.mark.timeout(PATIENCE + 60)


def differences(shown: Ended) -> dict[str, Any]:
    """What differs, by the name of its test."""
    return {each["test"].partition("::test_")[2]: each for each in shown.json["differences"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The planted systems with their suites, as a project of its own."""
    for file in PLANTED.glob("*.py"):
        shutil.copy(file, tmp_path / file.name.replace("suite_", "test_"))
    (tmp_path / "pyproject.toml").write_text(
        '[tool.meristem]\nsystem = "plant:system"\n'
        "[tool.meristem.check.off]\n'divided test_innocent.py::test_off' = 'to show it'\n"
        '[tool.pytest.ini_options]\nasyncio_mode = "auto"\npythonpath = ["."]\naddopts = "-p no:cacheprovider"\n'
    )
    return tmp_path


@pytest.fixture
def start(project: Path) -> Callable[..., Awaitable[asyncio.subprocess.Process]]:
    async def run(*arguments: str) -> asyncio.subprocess.Process:
        return await begin("check", "--divided", *arguments, cwd=project)

    return run


@pytest.fixture
def divided(start: Callable[..., Awaitable[asyncio.subprocess.Process]]) -> Callable[..., Awaitable[Ended]]:
    async def run(*arguments: str) -> Ended:
        return await ended(await start(*arguments), PATIENCE)

    return run


async def test_what_ends_at_a_process_is_found_by_its_calls_and_events(divided):
    kinds = sampled(APART, 4, "what ends at a process")  # each test has processes of its own, several times over

    shown = await divided("--json", *(f"test_apart.py::test_{each}" for each in kinds))

    assert shown.code == 1, shown.err
    found = differences(shown)
    assert {each["where"] for each in found.values()} == {"processes"}
    assert {name: {key: each[key] for key in APART[name]} for name, each in found.items()} == {
        name: APART[name] for name in kinds
    }
    if state := found.get("state"):
        assert (Path(state["file"]).name, state["number"]) == ("test_apart.py", 2)
        lines = (PLANTED / "suite_apart.py").read_text().splitlines()
        assert "Right.client().count()" in lines[state["line"] - 1]
    if carried := found.get("carried"):
        assert carried["expected"][1] == {"article": "lamp", "hint": "come back on Monday"}
        assert carried["found"][1] == {"article": "lamp", "hint": ""}
    if failing := found.get("failing"):
        assert failing["reason"].startswith("assert 1 == 2")


async def test_what_a_wire_shows_is_told_in_words_before_any_process_is_started(divided):
    shown = await divided("test_wire.py")

    assert shown.code == 1, shown.err
    assert shown.out == (
        "switched off: test_innocent.py::test_off: to show it\n"
        "test_wire.py::test_order_of_calls differs over the wire\n"
        "  test_wire.py:15: call 2, Left.look({})\n"
        '    in one process it answered: {"reply": "new"}\n'
        '    over the wire it answered: {"reply": ""}\n'
        "    they differ in reply\n"
        "  over the wire each call that its contract lets be repeated (@safe, @idempotent, @once) is sent twice on "
        "purpose: does one of them change something each time?\n"
        "test_wire.py::test_question_that_counts differs, too\n"
        "2 differences.\n"
    )
    assert "4/4" not in shown.err


async def test_what_varies_by_itself_is_no_difference_and_what_was_not_compared_is_told(divided):
    shown = await divided("--json", "test_innocent.py")

    assert (shown.code, shown.json["differences"]) == (0, []), shown.out
    assert shown.json["compared"] == {"wire": 2, "processes": 1}
    assert shown.json["varying"]["wire"] > 10
    apart = {
        where: {name.partition("::")[2]: why for name, why in each.items()}
        for where, each in shown.json["apart"].items()
    }
    assert apart["local"] == {"test_choosing": "it chooses where='local' by itself"}
    assert "app.instances['orders']" in apart["wire"]["test_reaching"]
    assert apart["processes"]["test_by_hand"] == "`clock` lives in the test's own process"
    assert shown.json["alone"] == 1
    assert shown.json["off"] == {"test_innocent.py::test_off": "to show it"}


async def test_a_suite_that_fails_is_to_be_mended_first(divided, project):
    (project / "test_broken.py").write_text("def test_sum():\n    assert 1 + 1 == 3\n")

    shown = await divided("test_broken.py")

    assert shown.code == 1
    assert shown.out.startswith("test_broken.py::test_sum: assert (1 + 1) == 3\nThe suite must pass in one process")


async def test_where_nothing_can_be_compared_the_suite_is_to_be_mended(divided):
    shown = await divided("test_innocent.py", "-k", "alone or choosing")

    assert shown.code == 1
    assert "test_choosing: it chooses where='local' by itself\n" in shown.out
    assert shown.out.endswith("Nothing was compared: no test could be run elsewhere.\n")


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["test_nowhere.py"], ["-k", "nothing", "test_wire.py"]])
async def test_what_pytest_refuses_is_wrong_use(divided, arguments):
    shown = await divided(*arguments)

    assert shown.code == 2
    assert "pytest refused" in shown.err or "pytest found no test" in shown.err


@pytest.mark.parametrize(
    ("number", "code"),
    sampled([(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)], 1, "ends of what is divided"),
)
async def test_whoever_ends_it_ends_the_tests_and_their_processes(number, code, start, project):
    (project / "test_long.py").write_text(
        "import asyncio, os, pathlib, plant\n"
        "from meristem.testing import running\n"
        "async def test_long():\n"
        "    async with running(plant.system, where='processes') as app:\n"
        "        pids = [os.getpid(), *(each.pid for each in app.supervisor.statuses())]\n"
        "        pathlib.Path('pids.new').write_text(' '.join(map(str, pids)))\n"
        "        os.rename('pids.new', 'pids')\n"
        "        await asyncio.sleep(600)\n"
    )
    process = await start("test_long.py")
    async with asyncio.timeout(PATIENCE):
        while not (project / "pids").exists():
            assert process.returncode is None, await process.communicate()
            await asyncio.sleep(0.05)
        pids = [int(each) for each in (project / "pids").read_text().split()]

        process.send_signal(number)
        await process.communicate()

        assert process.returncode == code
        while any(map(lives, pids)):
            await asyncio.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
