"""`meristem contracts import`, `lock` and `export`: what they write, and what they say of it."""

import pytest

pytest.importorskip("grpc_tools")

INN = """
from typing import Protocol

from meristem import Contract, Message, Service, System, safe


class Room(Message):
    number: int
{fields}

class Rooms(Contract, Protocol, package="inn.rooms.v1"):
    @safe
    async def room(self, room: Room) -> Room: ...


class RoomsService(Rooms, Service):
    async def room(self, room: Room) -> Room:
        return room


system = System("inn", services=[RoomsService])
"""

PROTO = """
syntax = "proto3";
package yard.v1;

// Keeps bicycles.
service Bicycles {
  // Who has it now.
  rpc Find(Bicycle) returns (Bicycle);
}

message Bicycle {
  fixed64 frame = 7;
  reserved 3;
}
"""


def write(project, *fields: str) -> None:
    (project / "inn.py").write_text(INN.replace("{fields}", "".join(f"    {each}\n" for each in fields)))


async def test_numbers_are_kept_and_what_was_removed_is_never_given_again(project, meristem):
    write(project, "city: str", "floor: int = 0")
    first = await meristem("contracts", "lock", "inn.py:system")
    assert "contracts.lock" in first.out
    assert "inn.rooms.v1.Room: number = 1, city = 2, floor = 3" in first.out
    kept = (project / "contracts.lock").read_text()

    write(project, "view: str = ''", "city: str")
    warned = await meristem("contracts", "export", "inn.py:system")
    assert "is not up to date; run `meristem contracts lock`" in warned.err
    assert "inn.rooms.v1.Room: view = 4" in warned.err
    assert "  string view = 4;\n  string city = 2;" in warned.out
    assert (project / "contracts.lock").read_text() == kept
    second = await meristem("contracts", "lock", "inn.py:system")
    assert "inn.rooms.v1.Room: floor removed; never given again: 3" in second.out

    write(project, "floor: int", "city: str", "view: str = ''")
    await meristem("contracts", "lock", "inn.py:system")
    again = await meristem("contracts", "export", "inn.py:system")
    assert "  reserved 3;\n  int64 number = 1;\n  int64 floor = 5;" in again.out
    assert (await meristem("contracts", "lock", "inn.py:system")).out == "every field has its number\n"
    assert (
        '[message."inn.rooms.v1.Room"]\nnumber = 1\ncity = 2\n-floor = 3\nview = 4\nfloor = 5\n'
        in (project / "contracts.lock").read_text()
    )


async def test_a_field_that_moved_others_is_told_how_their_numbers_are_kept(project, meristem):
    """What is told is done here, and nothing breaks."""
    write(project, "city: str")
    check = ("contracts", "check", "inn.py:system", "--kind", "wire")
    saved = await meristem("contracts", "check", "inn.py:system", "--save", "before.json")
    assert saved.code == 0, saved.err
    write(project, "floor: int = 0", "city: str")
    found = await meristem(*check, "--against", "before.json")
    assert "had the number 2 in protobuf and has 3" in found.out
    assert "go back, run `meristem contracts lock`, which keeps all numbers, and change it then" in found.out

    write(project, "city: str")
    await meristem("contracts", "lock", "inn.py:system")
    write(project, "floor: int = 0", "city: str")
    assert "Nothing breaks" in (await meristem(*check, "--against", "before.json")).out


async def test_files_are_written_into_a_folder(project, meristem):
    write(project, "city: str")

    await meristem("contracts", "export", "inn.py:system", "-o", "out")
    await meristem("contracts", "export", "inn.py:system", "--openapi", "-o", "out")
    await meristem("contracts", "export", "inn.py:system", "--json-schema", "-o", "out")
    nowhere = await meristem("contracts", "export", "inn.py:system", "--openapi", "-o", "inn.py/out")
    assert (nowhere.code, "cannot write inn.py/out" in nowhere.err, "Traceback" in nowhere.err) == (1, True, False)

    assert "package inn.rooms.v1;" in (project / "out/inn/rooms/v1/rooms.proto").read_text()
    assert '"openapi"' in (project / "out/openapi.json").read_text()
    schema = (project / "out/inn.rooms.v1.Rooms.schema.json").read_text()
    assert '"$schema": "https://json-schema.org/draft/2020-12/schema"' in schema
    assert '"Room": {' in schema


async def test_a_proto_becomes_a_module(project, meristem):
    (project / "yard.proto").write_text(PROTO)

    done = await meristem("contracts", "import", "yard.proto", "-o", "bicycles.py")

    assert done.out == "wrote bicycles.py\nwrote contracts.lock\n"
    assert (project / "bicycles.py").read_text() == (
        '"""Contracts of yard.proto."""\n\nfrom __future__ import annotations\n\nfrom typing import Protocol\n\n'
        "from meristem import Contract, Message, operation\nfrom meristem.proto import fixed64\n\n\n"
        "class Bicycle(Message):\n    frame: fixed64 = 0\n\n\n"
        'class Bicycles(Contract, Protocol, package="yard.v1"):\n    """Keeps bicycles."""\n\n'
        "    @operation\n    async def find(self, request: Bicycle) -> Bicycle:\n"
        '        """Who has it now."""\n        ...\n'
    )
    assert '[message."yard.v1.Bicycle"]\n-3 = 3\nframe = 7\n' in (project / "contracts.lock").read_text()


async def test_contracts_without_a_system_are_exported_and_their_new_fields_numbered(project, meristem):
    (project / "yard.proto").write_text(PROTO)
    await meristem("contracts", "import", "yard.proto", "-o", "bicycles.py")
    module = project / "bicycles.py"
    module.write_text(module.read_text().replace("fixed64 = 0", 'fixed64 = 0\n    colour: str = ""'))

    locked = await meristem("contracts", "lock", "bicycles.py")
    written = await meristem("contracts", "export", "bicycles.py")

    assert "yard.v1.Bicycle: colour = 8" in locked.out
    assert "message Bicycle {\n  reserved 3;\n  fixed64 frame = 7;\n  string colour = 8;\n}" in written.out
    assert "// Keeps bicycles.\nservice Bicycles {\n  // Who has it now.\n" in written.out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('syntax = "proto2"; message A {}', "only proto3 can be imported"),
        ('syntax = "proto3"; message A { string a = 1 }', 'Expected ";"'),
        ('syntax = "proto3"; message A { map<bool, string> a = 1; }', "JSON has no keys that are bool"),
        (
            'syntax = "proto3"; import "google/protobuf/api.proto"; message A { google.protobuf.Api a = 1; }',
            "google.protobuf.Api has no type in a contract",
        ),
        ('syntax = "proto3"; message None {}', "None can't be the name of a class in Python: rename it"),
    ],
)
async def test_what_cannot_be_imported_is_told_with_its_reason(project, meristem, text, problem):
    (project / "yard.proto").write_text(text)

    done = await meristem("contracts", "import", "yard.proto")

    assert done.code == 1
    assert problem in done.err
    assert not (project / "yard.py").exists()
