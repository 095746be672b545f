"""Every import goes down: a folder imports only lower floors, siblings never meet, and no folder holds a circle.

Type-only imports count, and so do imports inside of functions.
"""

import re

from tests.architecture.source import MODULES, ROOT, SOURCE, Import, circles, imports, room_of

FLOORS = [
    {
        "errors",
        "failure_log",
        "context",
        "keys",
        "clock",
        "lifecycle",
        "backoff",
        "adapters",
        "asgi",
        "stop_signals",
        "standard_streams",
        "variables",
        "descriptors",
        "redaction",
        "private_files",
        "followed_files",
        "hints",
        "quantities",
        "baggage",
        "head_fields",
        "log_positions",
        "position_fields",
    },
    {"contracts"},
    {"config", "telemetry", "resilience", "security", "discovery", "storage", "proto", "rest"},
    {"services", "transports", "events", "hosting"},
    {"sagas", "jobs", "eventsourcing", "gateway", "frameworks", "webhooks"},
    {"operators"},
    {"system"},
    {"runtime", "supervision"},
    {"testing", "dashboard", "ship", "scaffold", "checking", "observe", "backup", "transfer"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Inside of a room: the folders that hold others, with the floors of what stands in them, files and folders alike.
# "files" are the folder's own files.
INSIDE = {
    "contracts": [{"files"}, {"protobuf"}, {"evolution"}],
    "events": [{"files"}, {"brokers"}],
    "transports": [{"files"}, {"local", "http", "grpc"}],
    "transports.http": [{"files"}, {"connect", "rest"}, {"client", "server"}],
    "hosting": [{"asgi"}, {"wsgi"}, {"files"}],
    "gateway": [{"files"}, {"identity"}, {"policy"}, {"export"}],
    "gateway.export": [{"files"}, {"nginx", "envoy", "kubernetes"}, {"targets"}],
    "storage": [{"files"}, {"sqlite", "postgresql", "environment"}],
    "testing": [{"files"}, {"divided"}],
}


def lines(wrong: list[Import]) -> str:
    return "\n".join(str(each) for each in wrong)


def goes_down(each: Import) -> bool:
    source, target = room_of(each.source), room_of(each.target)
    if target == source or FLOOR[source] == FLOOR.get(target) == 0:
        return True
    return target in FLOOR and FLOOR[target] < FLOOR[source]


def test_every_room_has_a_floor():
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms <= set(FLOOR), f"give {rooms - set(FLOOR)} a floor here and in docs/design/floors.md"


def test_imports_go_down_only():
    """A room knows the floors below it and itself; the root knows all and is known by none."""
    wrong = [each for each in imports() if each.source != ROOT and not goes_down(each)]
    assert not wrong, lines(wrong)


def test_no_files_import_each_other_in_a_circle():
    found = circles({(each.source, each.target) for each in imports() if each.target != ROOT})
    closing = [each for circle in found for each in imports() if {each.source, each.target} <= set(circle)]
    assert not found, lines(closing)


def place_in(folder: str, module: str) -> str | None:
    """The folder below `folder` in which a module stands, "files" for one directly in it, None for one elsewhere."""
    inside = f"{ROOT}.{folder}."
    if not module.startswith(inside):
        return None
    name, below, _ = module.removeprefix(inside).partition(".")
    return name if below or MODULES[module].name == "__init__.py" else "files"


def test_folders_inside_a_room_have_floors_too():
    wrong = []
    for folder, floors in INSIDE.items():
        floor = {name: number for number, names in enumerate(floors) for name in names}
        for each in imports():
            source, target = place_in(folder, each.source), place_in(folder, each.target)
            if source is None or target is None or source == target:
                continue
            if not floor[target] < floor[source]:
                wrong.append(each)
    assert not wrong, lines(wrong)


def test_every_folder_inside_a_room_has_its_floor():
    """A folder that holds folders says which of them may import which."""
    holding = {
        ".".join(path.relative_to(SOURCE).parent.parts)
        for path in SOURCE.rglob("*")
        if path.is_dir() and any(path.glob("*.py")) and len(path.relative_to(SOURCE).parts) > 1
    }
    assert holding == set(INSIDE)


ADAPTERS = tuple(
    f"{ROOT}.{each}"
    for each in (
        "storage.sqlite",
        "storage.postgresql",
        "events.direct",
        "events.brokers.kafka",
        "events.brokers.nats",
        "events.brokers.rabbitmq",
        "transports.http.client",
        "transports.grpc.grpc_client",
    )
)


def test_grpcio_is_imported_in_one_file_alone():
    """It is an extra, and takes 40 ms: `transports.grpc.library` says what to install where it is missing."""
    grpcio = re.compile(r"^\s*(?:import|from) (?:grpc\w*|google\.rpc)\b", re.MULTILINE)
    found = [module for module, path in MODULES.items() if grpcio.search(path.read_text())]
    assert found == [f"{ROOT}.transports.grpc.library"]


def test_a_web_framework_is_imported_in_its_own_file_alone():
    """Whoever hosts an app has its framework; nobody else needs one."""
    framework = re.compile(r"^\s*(?:import|from) (flask|quart|werkzeug|starlette|fastapi|django)\b", re.MULTILINE)
    found = [module for module, path in MODULES.items() if framework.search(path.read_text())]
    assert found == [f"{ROOT}.frameworks.{each}" for each in ("django", "flask", "quart", "starlette")]


def test_an_adapter_is_imported_by_itself_alone():
    """Everything else finds it by a URL, through its room's registry, which names it in a text."""
    wrong = [
        each
        for each in imports()
        for adapter in ADAPTERS
        if each.target.startswith(adapter) and not each.source.startswith(adapter)
    ]
    assert not wrong, lines(wrong)
