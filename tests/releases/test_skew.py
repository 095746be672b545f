"""A caller of one release and a service of the next understand each other, either way round, by contracts in wheels.

`examples/inn` is the older release. The newer one has a field and an operation more, an optional field less, a field
with another name in Python, and an enum value more.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meristem.supervision.ports import free_port
from tests.suites.command import SOURCE, begin

pytestmark = pytest.mark.xdist_group("releases")  # they share two wheels
INN = Path(__file__).parents[2] / "examples" / "inn"
PATIENCE = 60.0  # seconds for what takes one on an idle machine
NEWER = (
    ('version = "1.0.0"', 'version = "2.0.0"'),
    ("\nwish = 5\n", "\n-wish = 5\n"),
    ("from msgspec import Meta\n", "from msgspec import Meta, field\n"),
    ('    OTHER = "other"\n', '    OTHER = "other"\n    WILD = "wild"\n'),
    ('    FULL = "full"\n', '    FULL = "full"\n    ALL = "all"\n'),
    ('    wish: str = ""\n', "    pets: int = 0\n"),
    (
        "    nights: Annotated[int, Meta(ge=1, le=30)]\n",
        '    days: Annotated[int, Meta(ge=1, le=60)] = field(name="nights")\n',
    ),
    ("    told: str\n", '    told: str\n    until: str = "noon"\n'),
    ("    room: str\n\n\nclass Rooms", '    room: str\n    by: str = "somebody"\n\n\nclass Rooms'),
    ("    @safe(http", '    @safe(http="GET /later")\n    async def later(self) -> str: ...\n\n    @safe(http'),
)
LATER = """
    async def later(self) -> str:
        return "tomorrow"
"""
CALLER = """
import asyncio, json, sys
from inn_contracts import *
from meristem import CallError, connect, using
from meristem.context import Context

NIGHTS = sys.argv[2]

def stay(room, nights=2, **more):
    return Stay(room=room, **{NIGHTS: nights}, **more)

async def outcome(work):
    try:
        found = await work
    except Taken as fault:
        return {"fault": fault.values()}
    except CallError as error:
        return {"code": error.code.value, "message": error.message, "fields": [each.field for each in error.violations]}
    return {name: str(getattr(found, name)) for name in getattr(found, "__struct_fields__", ())} or found

async def main():
    told = {}
    async with connect(sys.argv[1]) as system:
        rooms = system.client(Rooms)
        told["plain"] = await outcome(rooms.hold(stay("1")))
        told["own"] = await outcome(rooms.hold(stay("1", **json.loads(sys.argv[3]))))
        told["open"] = await outcome(rooms.hold(stay("WILD")))
        told["closed"] = await outcome(rooms.hold(stay("ALL")))
        told["fault"] = await outcome(rooms.hold(stay("taken")))
        told["bounds"] = await outcome(rooms.hold(stay("1", 0)))
        told["stream"] = [each.hold_id async for each in rooms.holds("7", most=2)]
        with using(key="the-same"):
            told["once"] = [await outcome(rooms.hold(stay("1"))) for _ in range(2)]
        if hasattr(Rooms, "later"):
            told["later"] = await outcome(rooms.later())
        if hasattr(Board, "ALL"):
            told["sent"] = await outcome(rooms.hold(stay("1", board=Board.ALL)))
    print(json.dumps(told))

asyncio.run(main())
"""


class Release:
    """A release of the inn: a wheel of its contracts."""

    def __init__(self, folder: Path, edits: tuple[tuple[str, str], ...] = ()) -> None:
        shutil.copytree(INN / "contracts", folder / "contracts")
        for file in ("pyproject.toml", "src/inn_contracts/__init__.py", "src/inn_contracts/contracts.lock"):
            path = folder / "contracts" / file
            text = path.read_text()
            for old, new in edits:
                text = text.replace(old, new)
            path.write_text(text)
        self.folder = folder
        _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(folder / "contracts"))
        (self.wheel,) = folder.glob("*.whl")

    def install(self, folder: Path) -> dict[str, str]:
        """Install the wheel into a folder; the environment of programs that run there."""
        _pip("install", "--no-index", "--no-deps", "--target", str(folder / "installed"), str(self.wheel))
        return {**os.environ, "PYTHONPATH": f"{folder / 'installed'}:{SOURCE}", "NO_COLOR": "1"}


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tmp_path_factory.mktemp("newer"), NEWER)


class Served:
    """Runs systems of folders of their own."""

    def __init__(self) -> None:
        self.begun: list[asyncio.subprocess.Process] = []

    async def run(self, file: str, folder: Path, environment: dict[str, str], wire: str = "http") -> str:
        """The address of a system that is ready."""
        by_grpc = []
        if wire == "grpc":
            port = free_port()
            (folder / "placed.toml").write_text(f'[processes]\nrest = ["*"]\n[server]\ngrpc = {port}\n')
            by_grpc = ["--placement", "placed.toml"]
        process = await begin("run", file, "--port", "0", *by_grpc, cwd=folder, environment=environment)
        self.begun.append(process)
        assert process.stdout is not None
        shown = ""
        async with asyncio.timeout(PATIENCE):
            while (found := re.search(r" runs at (\S+)", shown)) is None:
                line = await process.stdout.readline()
                assert line, shown
                shown += line.decode()
        return f"grpc://127.0.0.1:{port}" if by_grpc else found[1]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    kept = Served()
    yield kept
    for each in kept.begun:
        each.terminate()
        await asyncio.wait_for(each.communicate(), PATIENCE)


async def rooms_of(release: Release, folder: Path, served: Served, wire: str = "http", more: str = "") -> str:
    """The system that has the rooms, of a release."""
    shutil.copytree(INN / "rooms", folder, ignore=shutil.ignore_patterns(".meristem", "__pycache__"))
    text = (folder / "rooms.py").read_text()
    (folder / "rooms.py").write_text(text.replace("\n\nsystem = ", f"{more}\n\nsystem = "))
    return await served.run("rooms.py", folder, release.install(folder), wire)


async def told_by(release: Release, folder: Path, address: str, *arguments: str) -> Any:
    """What a caller of a release tells of its calls."""
    environment = release.install(folder)
    (folder / "caller.py").write_text(CALLER)
    process = await begin(address, *arguments, cwd=folder, environment=environment, program=("caller.py",))
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_a_package_of_contracts_is_a_wheel_that_two_systems_install(older, served, tmp_path):
    rooms = await rooms_of(older, tmp_path / "rooms", served)
    desk = tmp_path / "desk"
    shutil.copytree(INN / "desk", desk, ignore=shutil.ignore_patterns(".meristem", "__pycache__"))
    address = await served.run("desk.py", desk, older.install(desk) | {"DESK_ROOMS_URL": rooms})

    post = ("-sS", "-H", "content-type: application/json", "-d", '{"room": "7"}', f"{address}/api/guests")
    answer = await asyncio.to_thread(subprocess.run, ["curl", *post], capture_output=True, text=True, check=True)

    assert json.loads(answer.stdout) == "hold 1 for 80.50"


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_a_caller_of_the_release_before_is_served_by_the_new_one(older, newer, served, tmp_path, wire):
    address = await rooms_of(newer, tmp_path / "rooms", served, wire, LATER)
    told = await told_by(older, tmp_path / "caller", address, "nights", '{"wish": "sea"}')

    assert "days=2" in told["plain"]["told"]
    assert "pets=0" in told["plain"]["told"]  # what it does not send is the default
    assert told["plain"].keys() == {"hold_id", "price", "told", "mood", "board"}  # and what it does not know, ignored
    assert "wish" not in told["own"]["told"]
    assert told["open"]["mood"] == "Mood.OTHER"
    assert told["closed"]["code"] == "internal"
    assert "does not fit its contract: board: invalid enum value 'all'" in told["closed"]["message"]
    assert told["fault"] == {"fault": {"room": "taken"}}
    assert (told["bounds"]["code"], told["bounds"]["fields"]) == ("invalid_argument", ["nights"])
    assert told["stream"] == ["7 0", "7 1"]
    assert told["once"][0] == told["once"][1]


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_a_caller_of_the_new_release_is_served_by_the_one_before(older, newer, served, tmp_path, wire):
    address = await rooms_of(older, tmp_path / "rooms", served, wire)
    told = await told_by(newer, tmp_path / "caller", address, "days", '{"pets": 2}')

    assert "nights=2" in told["plain"]["told"]
    assert told["plain"]["until"] == "noon"
    assert "pets" not in told["own"]["told"]
    assert told["fault"] == {"fault": {"room": "taken", "by": "somebody"}}
    assert (told["bounds"]["code"], told["bounds"]["fields"]) == ("invalid_argument", ["nights"])
    assert told["stream"] == ["7 0", "7 1"]
    assert told["once"][0] == told["once"][1]
    assert told["later"]["code"] == "unimplemented"
    assert "or only a release of it without Later" in told["later"]["message"]
    assert (told["sent"]["code"], told["sent"]["fields"]) == ("invalid_argument", ["board"])
