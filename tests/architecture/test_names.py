"""A name stands for one thing: no two public classes share one, and a module's name recurs only as a part of rooms."""

import ast
from collections import defaultdict

from tests.architecture.source import MODULES, SOURCE

# the same part of each room that has it
PARTS = {
    "adapters": "the registry of adapters: of all ports, and what a room's port is asked for",
    "address": "what the addresses of a wire look like",
    "application": "an ASGI application that answers one protocol",
    "codec": "how messages become bytes: the format, and a protocol's choice among formats",
    "connection": "one end of a connection: the client's and the server's",
    "dialect": "what statements for a database are compiled with",
    "driver": "the port to a database, and each adapter's implementation of it",
    "errors": "the errors of a room and what becomes of them on a wire",
    "facts": "what a room emits to observers",
    "interface": "the operations of a protocol by their paths",
    "migration": "a connection to change a database's schema with",
    "opening": "from a URL to the driver that it means",
    "policy": "the numbers that a room's behaviour depends on",
    "revisions": "what the releases changed of a room's tables",
    "statements": "the SQL of a room",
    "streaming": "the streams of a protocol",
    "tables": "the tables of a room",
    "translation": "what the errors of a database's library mean",
    "twin": "the port to the copy of a database without rows, and each adapter's implementation of it",
}
COMMANDS = SOURCE / "cli"  # a verb of the command is named as what it is about
HINT = "; if it is the same part of each room, name it among PARTS"


def test_no_two_public_classes_share_a_name():
    found = defaultdict(list)
    for path in MODULES.values():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert not twice, "\n".join(f"class {name}: {', '.join(places)}" for name, places in twice.items())


def test_a_modules_name_recurs_only_as_the_same_part_of_each_room():
    found = defaultdict(list)
    for path in MODULES.values():
        if path.stem not in ("__init__", "__main__") and path.parent != COMMANDS:
            found[path.stem].append(str(path.relative_to(SOURCE)))
    twice = {name: places for name, places in found.items() if len(places) > 1 and name not in PARTS}
    assert not twice, "\n".join(f"{name}: {', '.join(places)}" for name, places in twice.items()) + HINT
