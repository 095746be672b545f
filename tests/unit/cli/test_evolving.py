"""`meristem contracts check` compares with a commit, a folder or a snapshot, and leaves nothing behind."""

import json
import subprocess
from pathlib import Path

import pytest

INN = """
from typing import Protocol
from meristem import Contract, Event, Flow, Message, Service, System, safe, saga

class Stay(Message):
    room: str
    nights: int = 1

class Rooms(Contract, Protocol, package="inn.v1"):
    @safe(http="GET /rooms/{city}")
    async def free(self, city: str) -> Stay: ...

class Left(Event, package="inn.v1"):
    room: str

class RoomsService(Rooms, Service):
    async def free(self, city: str) -> Stay:
        return Stay(room=city)

    @saga
    async def clean(self, flow: Flow, room: str) -> None: ...

system = System("inn", services=[RoomsService])
"""
BROKEN = (
    INN.replace("    nights: int = 1\n", "")
    .replace("class Left", "class Gone")
    .replace("room: str) ->", "room: int) ->")
)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Inn", "-c", "user.email=inn@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def inn(project: Path, environment: dict[str, str]) -> Path:
    """A project in a folder of a repository, its first commit the inn as it was; temporary files are its own."""
    made = project / "temporary"
    made.mkdir()
    environment["TMPDIR"] = str(made)
    (project / ".gitignore").write_text("temporary\n")
    (project / "inn.py").write_text(INN)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "inn:system"\n')
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "The inn")
    return project


async def test_code_is_compared_with_a_commit_that_is_run_beside_it(inn, meristem):
    same = await meristem("contracts", "check", "--against", "main")
    (inn / "inn.py").write_text(BROKEN)
    broken = await meristem("contracts", "check", "--against", "main")

    assert (same.code, same.out) == (0, "Nothing breaks.\n")
    assert broken.code == 1
    assert (
        "inn.py:5: [field-removed] SOURCE: Stay.nights is gone\n    it crosses in replies of Rooms.free" in broken.out
    )
    assert "[event-removed] JSON, SOURCE: inn.v1.Left is gone" in broken.out
    assert "[type-changed] JSON: rooms.clean.room was str and is int" in broken.out


async def test_nothing_of_a_comparison_is_left(inn, meristem):
    await meristem("contracts", "check", "--against", "main")
    (inn / "inn.py").write_text(INN + "\nraise RuntimeError('not today')\n")
    git(inn, "commit", "-aqm", "Broken")
    (inn / "inn.py").write_text(INN)
    failed = await meristem("contracts", "check", "--against", "main")

    assert failed.code == 1
    assert list((inn / "temporary").iterdir()) == []
    assert not (inn / ".git" / "worktrees").exists()


async def test_code_that_cannot_be_imported_today_is_told_with_what_to_do(inn, meristem):
    (inn / "inn.py").write_text("import a_package_of_yesterday\n" + INN)
    git(inn, "commit", "-aqm", "Of yesterday")
    (inn / "inn.py").write_text(INN)
    ended = await meristem("contracts", "check", "--against", "HEAD")

    assert ended.code == 1
    assert "the contracts of HEAD cannot be read:" in ended.err
    assert "a_package_of_yesterday" in ended.err
    assert "keep a snapshot when you release (meristem contracts check --save contracts.json)" in ended.err


async def test_code_is_compared_with_a_folder_and_with_a_snapshot_that_was_kept(inn, meristem):
    before = inn / "before"
    before.mkdir()
    for name in ("inn.py", "pyproject.toml"):
        (before / name).write_bytes((inn / name).read_bytes())
    saved = await meristem("contracts", "check", "--save", "contracts.json")
    again = await meristem("contracts", "check", "--save", "again.json")
    nowhere = await meristem("contracts", "check", "--save", "inn.py/again.json")
    assert (nowhere.code, "cannot write inn.py/" in nowhere.err, "Traceback" in nowhere.err) == (1, True, False)
    (inn / "inn.py").write_text(BROKEN)

    by_folder = await meristem("contracts", "check", "--against", "before", "--json")
    by_file = await meristem("contracts", "check", "--against", "contracts.json", "--json")

    assert (saved.code, again.code) == (0, 0)
    assert (inn / "contracts.json").read_bytes() == (inn / "again.json").read_bytes()
    assert by_folder.out == by_file.out
    assert by_file.code == 1
    found = json.loads(by_file.out)["breaking"]
    assert {each["rule"] for each in found} >= {"field-removed", "event-removed", "type-changed"}


async def test_only_the_kinds_that_are_asked_for_count(inn, meristem):
    (inn / "inn.py").write_text(INN.replace("class Stay", "class Night").replace("Stay", "Night"))

    by_all = await meristem("contracts", "check", "--against", "main")
    by_json = await meristem("contracts", "check", "--against", "main", "--kind", "json", "--kind", "wire")

    assert by_all.code == 1
    assert "[class-moved] SOURCE: Stay" in by_all.out
    assert (by_json.code, by_json.out) == (0, "Nothing breaks.\n")


async def test_a_change_that_is_meant_is_allowed_with_its_reason(inn, meristem):
    (inn / "inn.py").write_text(INN.replace("class Left", "class Gone"))
    project = (inn / "pyproject.toml").read_text()
    table = '[tool.meristem.contracts]\nallow = {{ "event-removed inn.v1.Left" = "{}" }}\n'

    (inn / "pyproject.toml").write_text(project + table.format("nobody ever heard it"))
    allowed = await meristem("contracts", "check", "--against", "main", "--json")
    (inn / "pyproject.toml").write_text(project + table.format(" "))
    unreasoned = await meristem("contracts", "check", "--against", "main")

    assert allowed.code == 0
    assert json.loads(allowed.out)["allowed"] == {"event-removed inn.v1.Left": "nobody ever heard it"}
    assert unreasoned.code == 1
    assert "says why each change is meant" in unreasoned.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "say what it was, --against main"),
        (["--against", "main", "--save", "x.json"], 2, "say what it was, --against main"),
        (["--against", "nowhere"], 1, "neither a file or folder 'nowhere' nor a commit of that name"),
        (["--against", "pyproject.toml"], 1, "holds no snapshot of contracts"),
    ],
)
async def test_what_cannot_be_compared_is_refused_with_what_to_write(inn, meristem, arguments, code, said):
    ended = await meristem("contracts", "check", *arguments)

    assert ended.code == code
    assert said in ended.err


async def test_a_snapshot_of_another_form_is_not_read(inn, meristem):
    (inn / "old.json").write_text('{"format": 0}')
    ended = await meristem("contracts", "check", "--against", "old.json")

    assert ended.code == 1
    assert "is a snapshot of format 0, and this release reads 1" in ended.err


async def test_code_that_is_installed_elsewhere_is_not_compared_with_itself(inn, meristem, environment):
    before = inn / "before"
    before.mkdir()
    (before / "pyproject.toml").write_text('[tool.meristem]\nsystem = "inn:system"\n')
    environment["PYTHONPATH"] += f":{inn}"
    ended = await meristem("contracts", "check", "--against", "before")

    assert ended.code == 1
    assert "the code of before was not what was imported: inn, with inn.v1.Rooms, is installed elsewhere" in ended.err


async def test_a_service_that_cannot_be_imported_here_has_its_contracts_compared_and_is_named(inn, meristem):
    (inn / "away.py").write_text(
        "from typing import Protocol\n"
        "from meristem import Contract, safe\n"
        'class Away(Contract, Protocol, package="inn.away.v1"):\n'
        "    @safe\n"
        "    async def far(self) -> int: ...\n"
    )
    service = (
        "import sys\nfrom away import Away\nfrom meristem import Service\n"
        'if "meristem.system.describing" not in sys.orig_argv: raise ImportError("no such library here")\n'
        "class AwayService(Away, Service):\n    async def far(self) -> int:\n        return 1\n"
    )
    (inn / "service.py").write_text(service)
    system = 'System("inn", services=["inn:RoomsService", "service:AwayService"])'
    (inn / "inn.py").write_text(INN.replace('System("inn", services=[RoomsService])', system))
    saved = await meristem("contracts", "check", "--save", "contracts.json")
    (inn / "away.py").write_text((inn / "away.py").read_text().replace("-> int", "-> str"))
    ended = await meristem("contracts", "check", "--against", "contracts.json")

    assert saved.code == 0, saved.err
    assert ended.code == 1
    assert "Away.far -> reply was int and is str" in ended.out
    assert "away was not read, so its sagas and events were not compared" in ended.err
    assert "no such library here" in ended.err
