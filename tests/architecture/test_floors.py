"""Every import goes down: a folder imports only lower floors, siblings never meet, type-only imports count."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "meristem"
FLOORS = [
    {"errors", "context", "clock", "lifecycle", "backoff", "adapters"},
    {"contracts"},
    {"config", "telemetry", "resilience", "security", "discovery", "storage"},
    {"services", "transports", "events", "hosting"},
    {"sagas", "jobs", "eventsourcing", "gateway"},
    {"system"},
    {"runtime", "supervision"},
    {"testing", "dashboard", "ship", "scaffold", "checking", "observe"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> list[tuple[int, str]]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [(n.lineno, a.name) for n in nodes if isinstance(n, ast.Import) for a in n.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import in full"
            module = node.module or ""
            names += [(node.lineno, f"{module}.{a.name}" if module == "meristem" else module) for a in node.names]
    return [(line, name) for line, name in names if name.split(".")[0] == "meristem"]


def test_imports_go_down_only():
    """A room knows the floors below it and itself; the root knows all and is known by none."""
    wrong = []
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in FLOOR, f"{path}: give the room {room!r} a floor in {__file__}"
        for line, name in imports(path):
            target = [*name.split("."), "", ""][1]
            same = target == room or (FLOOR[room] == FLOOR.get(target) == 0)
            if not same and not (target in FLOOR and FLOOR[target] < FLOOR[room]):
                wrong.append(f"{path}:{line}: {room} imports {name}")
    assert not wrong, "\n".join(wrong)
