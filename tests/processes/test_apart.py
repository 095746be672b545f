"""Apps that live apart: with a folder, an interpreter and packages of their own, in every placement."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from meristem.runtime.options import Silent
from meristem.supervision.app_environments import AppEnvironments
from meristem.supervision.environments import PLACE, Environments
from meristem.supervision.ports import free_port
from meristem.system.plan import ProcessPlan

from .conftest import PATIENCE, Command, gone, meristem, told

SHOP = """
import sys
from typing import Protocol

from meristem import App, Contract, Service, System, safe


class Greeter(Contract, Protocol, package="shop.greeter.v1"):
    @safe(http="GET /hello/{name}")
    async def hello(self, name: str) -> str: ...


class GreeterService(Greeter, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"


apps = [
    App("one", "app:app", "/one", folder="one"),
    App("two", "app:create_app()", "/two", folder="two", python=sys.executable),
]
"""
TWO_FOLDERS = """
from greeter import GreeterService, apps
from meristem import System

system = System("shop", services=[GreeterService], apps=apps)
"""
ONE = """
import os
import helper
from fastapi import FastAPI
from greeter import Greeter

app = FastAPI()


@app.get("/who")
async def who():
    return {"folder": os.getcwd(), "helper": helper.NAME, "says": await Greeter.client().hello("one")}
"""
TWO = """
import os
import helper
from flask import Flask
from greeter import Greeter
from meristem import block_on


def create_app(name=__name__):
    made = Flask(name)

    @made.get("/who")
    def who():
        return {"folder": os.getcwd(), "helper": helper.NAME, "says": block_on(Greeter.client().hello("two"))}

    return made
"""
SPLIT = """
[processes]
main = ["*"]
two = { services = ["two"], replicas = 2 }
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A project whose system stands in `app.py`, as each of its two apps does in a folder of its own."""
    (tmp_path / "greeter.py").write_text(SHOP)
    (tmp_path / "app.py").write_text(TWO_FOLDERS)
    (tmp_path / "split.toml").write_text(SPLIT)
    for name, code in (("one", ONE), ("two", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(code)
        (tmp_path / name / "helper.py").write_text(f"NAME = {name!r}\n")
    return tmp_path


@pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])
async def test_two_apps_with_one_modules_name_live_together_and_call_services(
    folders: Path, ended: list[Command], placement: list[str]
):
    port = free_port()
    run = await meristem(folders, "run", "app.py", "--port", str(port), *placement)
    ended.append(run)
    await run.shows("shop runs at")
    async with httpx.AsyncClient(timeout=PATIENCE) as web:
        for name in ("one", "two"):
            assert (await web.get(f"http://127.0.0.1:{port}/{name}/who")).json() == {
                "folder": str(folders / name),
                "helper": name,
                "says": f"Hello, {name}!",
            }
    _, shown = await told(folders, "ps", "app.py", "--json")
    rows = json.loads(shown)
    assert {row["state"] for row in rows} == {"ready"}
    replicas = sorted((row["name"], row["replica"]) for row in rows if row["name"] in ("one", "two"))
    assert replicas == [("one", 0), ("two", 0), *([("two", 1)] if placement else [])]
    assert len({row["pid"] for row in rows}) == len(rows)


async def test_a_folder_that_is_not_there_is_said_before_anything_starts(folders: Path):
    (folders / "one" / "app.py").unlink()
    (folders / "one" / "helper.py").unlink()
    (folders / "one").rmdir()
    for placement in ([], ["--placement", "split.toml"]):
        code, text = await told(folders, "run", "app.py", "--port", str(free_port()), *placement)

        assert (code, f"app 'one': there is no folder {folders / 'one'}" in text) == (1, True), text


def seedling(folder: Path, version: str) -> None:
    """A library of one module, in a wheel made by hand: no registry is asked for it."""
    dist = f"seedling-{version}.dist-info"
    with zipfile.ZipFile(folder / f"seedling-{version}-py3-none-any.whl", "w") as made:
        made.writestr("seedling.py", f"VERSION = {version!r}\n")
        made.writestr(f"{dist}/METADATA", f"Metadata-Version: 2.1\nName: seedling\nVersion: {version}\n")
        made.writestr(
            f"{dist}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{dist}/RECORD", "")
    (folder / f"{version}.txt").write_text(f"./seedling-{version}-py3-none-any.whl\n")


VERSIONS = """
from meristem import App, System

system = System(
    "versions",
    apps=[
        App("older", "older:app", "/older", python=OLD, requirements="1.0.txt"),
        App("newer", "newer:make_app()", "/newer", requirements="2.0.txt"),
        App("bare", "older:app", "/bare", folder="bare", python=OLD),
    ],
)
"""
TELLS = """
import json, os, sys

try:
    import seedling
    version = seedling.VERSION
except ImportError:
    version = None

def told(mount, path):
    secrets = [name for name in os.environ if name.startswith("MERISTEM_")]
    meristem = any(os.path.exists(os.path.join(each, "meristem")) for each in sys.path)
    url = os.environ["NEWER_URL"]
    found = [sys.version_info[:2], version, mount, path, secrets, meristem, url.rpartition("/")[2], os.getcwd()]
    return json.dumps(found).encode()
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [told(environ["SCRIPT_NAME"], environ["PATH_INFO"])]
"""
ASGI = """
def make_app():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": told(scope["root_path"], scope["path"])})
    return app
"""


def old_python() -> str:
    """Python 3.9, on which Meristem does not run."""
    asked = subprocess.run(["pyenv", "prefix", "3.9.18"], capture_output=True, text=True, check=False)
    found = Path(asked.stdout.strip()) / "bin" / "python"
    if asked.returncode or not found.exists():
        pytest.skip("there is no Python 3.9.18 of pyenv")
    return str(found)


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    old = old_python()
    fetched = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "-d",
        str(tmp_path / "fetched"),
        "waitress",
    ]
    if subprocess.run(fetched, capture_output=True, check=False).returncode:
        pytest.skip("no registry of packages is reachable")
    for version in ("1.0", "2.0"):
        seedling(tmp_path, version)
    (tmp_path / "bare").mkdir()
    (tmp_path / "system.py").write_text(f"OLD = {old!r}\n{VERSIONS}")
    (tmp_path / "older.py").write_text(TELLS + WSGI)
    (tmp_path / "newer.py").write_text(TELLS + ASGI)
    return tmp_path


async def test_two_versions_of_a_library_and_a_python_without_meristem_side_by_side(
    versions: Path, ended: list[Command], tmp_path_factory: pytest.TempPathFactory
):
    kept = {PLACE: str(tmp_path_factory.mktemp("environments"))}
    # Made before: over a slow network it takes longer than the start of a system may.
    apart = AppEnvironments(Environments(versions, kept, Silent()), versions)
    bare = apart.of(ProcessPlan("bare", (), ("bare",), python=old_python()))
    older = apart.of(ProcessPlan("older", (), ("older",), python=old_python(), requirements="1.0.txt"))
    newer = apart.of(ProcessPlan("newer", (), ("newer",), requirements="2.0.txt"))
    assert bare.server == older.server != newer.server
    assert bare.python == old_python() != older.python
    port = free_port()
    run = await meristem(versions, "run", "system.py", "--port", str(port), **kept)
    ended.append(run)
    await run.shows("versions runs at")

    _, shown = await told(versions, "ps", "system.py", "--json")
    rows = {row["name"]: row for row in json.loads(shown)}
    assert {row["state"] for row in rows.values()} == {"ready"}

    async def asked(name: str) -> list[object]:
        async with httpx.AsyncClient(timeout=PATIENCE) as web:
            return list((await web.get(f"http://127.0.0.1:{port}/{name}/who")).json())

    here = [sys.version_info[0], sys.version_info[1]]
    rest = [[], False, "newer"]
    assert await asked("older") == [[3, 9], "1.0", "/older", "/who", *rest, str(versions)]
    assert await asked("newer") == [here, "2.0", "/newer", "/newer/who", *rest, str(versions)]
    # Its own folder has no such module: the project's is found last.
    assert await asked("bare") == [[3, 9], None, "/bare", "/who", *rest, str(versions / "bare")]

    os.kill(rows["older"]["pid"], 9)
    await run.shows("older-0 is ready again")
    assert (await asked("older"))[0] == [3, 9]

    run.process.kill()
    for name in ("newer", "bare"):
        await gone(rows[name]["pid"])
