"""Services that are named by text: described once, imported only where they live, and errors that say where to look."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SYSTEM = """
from meristem import App, System
system = System("garden", services=["garden.beds:BedsService", "garden.shed:ShedService"],
                apps=[App("gate", "garden.gate:app")])
"""
CONTRACTS = """
from typing import Protocol
from meristem import Contract, Event, safe
class Grown(Event, package="garden.beds.v1", key="plant"):
    plant: str
class Beds(Contract, Protocol, package="garden.beds.v1"):
    @safe(http="GET /beds")
    async def imported(self) -> list[str]: ...
class Shed(Contract, Protocol, package="garden.shed.v1"):
    @safe(http="GET /shed")
    async def imported(self) -> list[str]: ...
"""
SERVICE = """
import sys
from pathlib import Path
from sqlalchemy import Column, Integer, MetaData, Table
from garden.contracts import {own}, {other}, Grown
from meristem import Database, Service, Settings, on
class {own}Settings(Settings):
    size: int = 4
metadata = MetaData()
Table("things", metadata, Column("id", Integer, primary_key=True))
with Path("imports.log").open("a") as log:
    log.write("{own}\\n")
class {own}Service({own}, Service, tables=metadata):
    def __init__(self, {needs}settings: {own}Settings) -> None: ...
    {handler}
    async def imported(self) -> list[str]:
        return [name for name in sys.modules if name.startswith("garden.") or name in ("uvicorn", "alembic")]
"""
HANDLER = "@on(Grown, attempts=3)\n    async def store(self, event: Grown) -> None: ..."
GATE = """
import json, sys
async def app(scope, receive, send):
    body = json.dumps([name for name in sys.modules if name.startswith("garden.") or name == "uvicorn"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
POND_CONTRACT = """
from typing import Protocol
from meristem import Contract, safe
class Pond(Contract, Protocol, package="garden.pond.v1"):
    @safe(http="GET /pond")
    async def depth(self) -> int: ...
"""
POND = """
from garden.pond_contract import Pond
from meristem import Service
class PondService(Pond, Service):
    async def depth(self) -> int:
        return 3
"""
SPLIT = '[processes]\nedge = ["gate"]\nbeds = ["beds"]\nshed = ["shed"]\n'
DESCRIBED = ["Beds", "Shed"]


class Garden(NamedTuple):
    """The project's folder and the command run in it."""

    folder: Path
    meristem: Callable[..., Awaitable[Any]]

    @property
    def imports(self) -> list[str]:
        """Which service modules have been imported so far, by anybody."""
        log = self.folder / "imports.log"
        return log.read_text().split() if log.exists() else []

    def write(self, name: str, text: str) -> None:
        (self.folder / "garden" / name).write_text(text)


@pytest.fixture
def garden(project: Path, meristem_anew: Callable[..., Awaitable[Any]]) -> Garden:
    package = project / "garden"
    package.mkdir()
    made = Garden(project, meristem_anew)
    beds = {"own": "Beds", "other": "Shed", "needs": "shed: Shed, database: Database, ", "handler": ""}
    shed = {"own": "Shed", "other": "Beds", "needs": "", "handler": HANDLER}
    files = {"__init__.py": "", "system.py": SYSTEM, "contracts.py": CONTRACTS, "gate.py": GATE}
    files |= {"beds.py": SERVICE.format(**beds), "shed.py": SERVICE.format(**shed)}
    for name, text in files.items():
        made.write(name, text)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "garden.system:system"\n')
    (project / "split.toml").write_text(SPLIT)
    return made


async def test_services_are_described_once_and_no_verb_imports_them_again(garden):
    plan = (await garden.meristem("graph", "--json")).json
    assert garden.imports == DESCRIBED

    again = (await garden.meristem("graph", "--json")).json
    contracts = await garden.meristem("contracts", "export")
    migrated = await garden.meristem("migrate", "--check", "--json")
    dead = await garden.meristem("events", "dead", "--json")
    listed = await garden.meristem("sagas", "list", "--json")
    called = await garden.meristem("call", "beds.imported")

    assert again == plan
    assert "service Beds {" in contracts.out
    assert [list(each.json) for each in (migrated, dead, listed)] == [["shed", "beds"]] * 3
    assert "garden does not run here" in called.err
    assert garden.imports == DESCRIBED


async def test_the_plan_tells_all_that_another_process_must_know(garden):
    shed, beds = (await garden.meristem("graph", "--json")).json["services"]

    assert (beds["name"], beds["target"]) == ("beds", "garden.beds:BedsService")
    assert (beds["contracts"], beds["calls"]) == ({"garden.beds.v1.Beds": "garden.contracts:Beds"}, ["shed"])
    assert shed["hears"]["garden.beds.v1.Grown"]["attempts"] == 3
    assert (shed["database"], shed["settings"]) == (True, {"garden.shed:ShedSettings": ["size"]})


async def test_a_description_holds_while_what_was_imported_is_the_same_and_no_longer(garden):
    await garden.meristem("graph")
    for file in garden.folder.glob("garden/*.py"):
        os.utime(file, (1, 1))  # as copied into an image
    await garden.meristem("graph")
    assert garden.imports == DESCRIBED

    garden.write("contracts.py", CONTRACTS.replace("/beds", "/borders"))
    changed = await garden.meristem("graph", "--json")

    assert garden.imports == DESCRIBED * 2
    assert changed.json["services"][1]["operations"][0]["http"] == "GET /borders"


async def test_of_many_who_need_a_description_at_once_one_makes_it(garden):
    ended = await asyncio.gather(*(garden.meristem("graph", "--json") for _ in range(4)))

    assert [each.code for each in ended] == [0] * 4, ended
    assert garden.imports == DESCRIBED


async def test_a_description_that_cannot_be_read_is_made_anew(garden):
    await garden.meristem("graph")
    for file in garden.folder.glob(".meristem/garden/services/*.json"):
        file.write_text(file.read_text()[:50])

    assert (await garden.meristem("graph")).code == 0
    assert garden.imports == DESCRIBED * 2


async def test_each_process_imports_the_services_placed_in_it_and_the_edge_only_contracts(garden, start):
    garden.write("pond_contract.py", POND_CONTRACT)
    garden.write("pond.py", POND)
    garden.write("system.py", SYSTEM.replace("services=[", 'services=["garden.pond:PondService", '))
    (garden.folder / "split.toml").write_text(f'{SPLIT}pond = ["pond"]\n')
    running = await start("run", "--placement", "split.toml", "--port", "0")
    address = (await running.shows("garden runs at ")).split()[0]
    before = garden.imports

    async def told(path: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())",
            address + path, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        answer = json.loads((await process.communicate())[0])
        return set(answer) if isinstance(answer, list) else answer

    assert await told("/api/beds") == {"garden.system", "garden.contracts", "garden.beds"}
    assert await told("/api/shed") == {"garden.system", "garden.contracts", "garden.shed"}
    assert await told("/") == {"garden.system", "garden.contracts", "garden.pond_contract", "garden.gate"}
    assert await told("/api/pond") == 3
    assert sorted(before) == sorted(DESCRIBED * 2)  # by who described them, and where they live


async def test_a_plan_that_was_shipped_stands_for_services_whose_code_is_not_there(garden, start, environment):
    plan = await garden.meristem("graph", "--placement", "split.toml", "--json")
    (garden.folder / "plan.json").write_text(plan.out)
    (garden.folder / "garden" / "beds.py").unlink()

    at_shed = ["--placement", "split.toml", "--process", "shed", "--listen", "tcp://127.0.0.1:0"]
    alone = await garden.meristem("process", *at_shed)
    assert "the service garden.beds:BedsService cannot be described by" in alone.err
    assert "give --plan with what was written by: meristem graph --json" in alone.err

    environment["BEDS_URL"] = "http://127.0.0.1:1"
    running = await start("process", *at_shed, "--plan", "plan.json")
    await running.shows("ready at")
    (garden.folder / "plan.json").write_text(json.dumps(plan.json | {"services": plan.json["services"][:1]}))
    stale = await garden.meristem("process", *at_shed, "--plan", "plan.json")
    assert "plan.json does not know garden.beds:BedsService; write it anew with: meristem graph --json" in stale.err


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("garden.bed:BedsService", ["there is no 'garden.bed' in", "did you mean 'beds'?"]),
        ("gardn.beds:BedsService", ["there is no 'gardn'"]),
        ("garden.beds:BedService", ["garden.beds has no 'BedService'; did you mean 'BedsService'?"]),
        ("garden.contracts:Beds", ["names Beds, which is no service; derive its class from Service"]),
        (
            "garden.broken:BrokenService",
            ["ModuleNotFoundError: No module named 'reportlib'", "garden/broken.py:1: import reportlib); install it"],
        ),
        ("garden.wrong:WrongService", ["SyntaxError: invalid syntax (", "garden/wrong.py:2: def ()"]),
        ("garden.torn.service:TornService", ["garden/torn/__init__.py:1: 1 / 0)"]),
        ("garden.beds", ['write "package.module:ClassName"']),
    ],
)  # fmt: skip
async def test_a_name_that_leads_nowhere_is_explained(garden, named, said):
    garden.write("system.py", SYSTEM.replace("garden.beds:BedsService", named))
    garden.write("broken.py", "import reportlib\n")
    garden.write("wrong.py", "\ndef (\n")
    (garden.folder / "garden" / "torn").mkdir()
    garden.write("torn/__init__.py", "1 / 0\n")
    ended = await garden.meristem("graph")

    assert ended.code == 1
    for each in said:
        assert each in ended.err
    assert named in ended.err
    assert "src/meristem" not in ended.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import reportlib\n", "No module named 'reportlib' ("),
        ("def (\n", "SyntaxError: invalid syntax ("),
        ("raise SystemExit('no key')\n", "SystemExit: no key ("),
    ],
)
async def test_a_module_that_fails_in_one_process_is_told_as_briefly(garden, source, said):
    garden.write("beds.py", source)
    ended = await garden.meristem("run", "--port", "0")

    assert ended.code == 1
    assert said in ended.err
    assert f"garden/beds.py:1: {source.strip()})" in ended.err
    assert "src/meristem" not in ended.err


async def test_a_service_that_the_placement_calls_otherwise_is_told_beside_what_failed_by_it(garden):
    (garden.folder / "split.toml").write_text('[processes]\nbeds = ["bets"]\nrest = ["*"]\n')
    garden.write("beds.py", "import reportlib\n")
    ended = await garden.meristem("graph", "--placement", "split.toml")

    assert "No module named 'reportlib'" in ended.err
    assert "the placement names bets, which the system does not have" in ended.err


async def test_where_nothing_can_be_kept_descriptions_are_made_each_time_whatever_modules_print(garden):
    services = garden.folder / ".meristem" / "garden" / "services"
    (services / "lock").mkdir(parents=True)
    (services / "garden.beds.BedsService.new").mkdir()
    beds = garden.folder / "garden" / "beds.py"
    beds.write_text(f"import os\nos.write(1, b'grown')\nprint('beds')\n{beds.read_text()}")
    for _ in range(2):
        ended = await garden.meristem("graph", "--json")
        assert sorted(each["name"] for each in ended.json["services"]) == ["beds", "shed"]

    assert garden.imports.count("Beds") == 2


async def test_a_description_that_another_interpreter_made_is_made_anew(garden):
    await garden.meristem("graph")
    made = garden.imports
    kept = garden.folder / ".meristem" / "garden" / "services" / "garden.beds.BedsService.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"python": "/opt/other/python"}))
    assert (await garden.meristem("graph")).code == 0

    assert garden.imports == [*made, "Beds"]


async def test_everything_in_one_process_needs_no_description(garden, start):
    running = await start("run", "--port", "0")
    await running.shows("garden runs at ")

    assert garden.imports == DESCRIBED
    assert not (garden.folder / ".meristem" / "garden" / "services").exists()
