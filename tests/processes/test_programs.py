"""Programs as they run: told where the others are, ready by their probe, failing when they end again and again."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from meristem.errors import ConfigurationError
from meristem.supervision.health_checks import health_check
from meristem.supervision.ports import free_port, is_taken, program_ports
from meristem.system.plan import ProgramPlan

from .conftest import PATIENCE, QUICK, Command, Screen, ask, meristem, plan, told
from .test_supervisor import SEARCH

TELLS = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(" ".join([os.getcwd(), os.environ["WHERE"], *sys.argv[1:]]).encode())
    def log_message(self, *_): ...
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def python(name: str, code: str, *arguments: str, **fields: object) -> ProgramPlan:
    return msgspec.structs.replace(ProgramPlan(name, (sys.executable, "-c", code, *arguments)), **fields)


async def test_a_program_is_told_its_port_and_where_the_others_are(supervisor_of, tmp_path: Path):
    (tmp_path / "old").mkdir()
    port = free_port()
    rates = python("rates", TELLS, environment={"WHERE": "{search.host}:{search.port}"}, health="/", replicas=2)
    teller = python("teller", TELLS, "$PORT", "{rates.url}", environment={"WHERE": "{search.url}"}, health="/")
    teller = msgspec.structs.replace(teller, folder="old", port=port)
    async with supervisor_of(plan(SEARCH, programs=(teller, rates))) as supervisor:
        await supervisor.start()
        _, tells, *replicas = supervisor.statuses()

        assert [(each.process, each.replica, each.state) for each in replicas] == [
            ("rates", 0, "ready"),
            ("rates", 1, "ready"),
        ]
        urls = [each.address.replace("tcp:", "http:") for each in replicas]
        assert tells.address == f"tcp://127.0.0.1:{port}"
        told_by = await ask(f"http://127.0.0.1:{port}")
        assert told_by == f"{tmp_path / 'old'} {supervisor.address} {port} {','.join(urls)}"
        for url in urls:
            assert await ask(url) == f"{tmp_path} {supervisor.address.removeprefix('http://')}"


LATE = """
import os, socket, time
print("begins", flush=True)
while not os.path.exists("go"): time.sleep(0.01)
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listens", flush=True)
while True: server.accept()[0].close()
"""


async def test_a_program_with_tcp_is_ready_when_its_port_takes_connections(supervisor_of, screen: Screen, tmp_path):
    (tmp_path / "go").touch()
    async with supervisor_of(plan(SEARCH, programs=(python("late", LATE, health="tcp"),))) as supervisor:
        await supervisor.start()

        assert "listens" in screen.text
        assert supervisor.statuses()[1].state == "ready"


SERVING = """
import os, sys
from concurrent import futures
import grpc
from grpc_health.v1 import health_pb2
def check(request, context):
    status = "SERVING" if os.path.exists("go") else "NOT_SERVING"
    if status == "NOT_SERVING": open("asked", "w").close()
    return health_pb2.HealthCheckResponse(status=status)
handler = grpc.unary_unary_rpc_method_handler(
    check, health_pb2.HealthCheckRequest.FromString, health_pb2.HealthCheckResponse.SerializeToString)
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})])
server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
"""


async def test_a_program_with_grpc_is_ready_when_the_health_protocol_says_so(
    supervisor_of, screen: Screen, tmp_path: Path
):
    pytest.importorskip("grpc_health.v1", reason="needs the extra grpc")
    (tmp_path / "go").touch()
    hasty = msgspec.structs.replace(QUICK, hung=0.6)
    async with supervisor_of(plan(SEARCH, programs=(python("rates", SERVING, health="grpc"),)), restarts=hasty) as made:
        await made.start()
        assert made.statuses()[1].state == "ready"
        (tmp_path / "go").unlink()  # from now on it says NOT_SERVING, and so it is replaced
        await screen.shows("rates: it gave no sign of life")

    assert (tmp_path / "asked").exists()


def test_without_grpcio_a_program_with_grpc_is_refused_with_the_extras_name(monkeypatch):
    for name in [each for each in sys.modules if each.startswith("meristem.transports.grpc.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ConfigurationError, match=r"'rates': health=\"grpc\": .*pip install 'meristem\[grpc\]'"):
        health_check(ProgramPlan("rates", ("x",), "grpc"))


def test_no_grpc_library_is_imported_for_other_probes(tmp_path: Path):
    code = (
        "import sys; from meristem.system.plan import ProgramPlan as P; from meristem.supervision import programs, "
        "health_checks as h; h.health_check(P('a', ('x',), 'tcp')); h.health_check(P('a', ('x',), '/')); "
        "sys.exit('grpc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


BRIEF = """
import http.server, os, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        threading.Timer(0.05, lambda: os._exit(3)).start()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


async def test_what_ends_again_and_again_is_failing_and_never_ready_again(supervisor_of, screen: Screen):
    """Its probe passes each time, and it ends right after."""
    async with supervisor_of(plan(SEARCH, programs=(python("brief", BRIEF, health="/"),))) as supervisor:
        await supervisor.start()
        await screen.shows("brief ended (exit code 3) for the 2nd time in a row; it is started again in ")
        states = set()
        for time in ("3rd", "4th", "5th"):
            await screen.shows(f"for the {time} time in a row")
            states.add(supervisor.statuses()[1].state)

    assert states == {"failing"}
    assert "ready again" not in screen.text


async def test_a_folder_that_is_not_there_and_a_port_that_is_taken_are_said_before_it_starts(supervisor_of):
    async def refused(program: ProgramPlan) -> str:
        async with supervisor_of(plan(SEARCH, programs=(program,))) as supervisor:
            with pytest.raises(ConfigurationError) as caught:
                await supervisor.start()
        return str(caught.value)

    assert "program 'rates': there is no folder " in await refused(python("rates", "", folder="nowhere"))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert is_taken(port)
        assert f"another program listens at port {port}" in await refused(python("rates", "", port=port))
    assert not is_taken(port)


def test_each_replica_has_a_port_and_none_is_given_twice():
    ports = program_ports([python("a", "", replicas=20), python("b", "", port=20000), python("c", "")])

    assert [len(each) for each in ports.values()] == [20, 1, 1]
    assert len({port for each in ports.values() for port in each}) == 22


ALONE = '''
import sys
from meristem import Program, System, Service, Settings

SERVES = """
import http.server, os, time
time.sleep(0.3)
print("rates listens", flush=True)
class Answer(http.server.SimpleHTTPRequestHandler): ...
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""

class RatesSettings(Settings):
    url: str = "app://rates/v1"

class Orders(Service, name="orders"):
    def __init__(self, settings: RatesSettings) -> None:
        print("orders knows", settings.url, flush=True)

system = System(
    "alone",
    services=[Orders],
    programs=[
        Program("rates", [sys.executable, "-c", SERVES], health="tcp", mount="/rates"),
        Program("brief", [sys.executable, "-c", "import time; time.sleep(0.05)"], replicas=2),
    ],
)
'''


@pytest.mark.parametrize("placement", [[], ["--placement", "all.toml"]], ids=["one process", "processes"])
async def test_ps_lists_programs_in_every_placement_and_callers_start_after_them(
    directory: Path, ended: list[Command], placement: list[str]
):
    (directory / "alone.py").write_text(ALONE)
    (directory / "all.toml").write_text('[processes]\nmain = ["*"]\n')
    port = free_port()
    run = await meristem(directory, "run", "alone.py", "--port", str(port), *placement)
    ended.append(run)
    await run.shows("alone runs at")
    line = next(each for each in run.text.splitlines() if "orders knows" in each)
    assert run.text.index("rates listens") < run.text.index("orders knows")
    await run.shows("for the 3rd time in a row", times=2)

    code, shown = await told(directory, "ps", "alone.py", "--json")
    assert code == 0
    rows = {(row["name"], row["replica"]): row for row in json.loads(shown)}
    assert list(rows) == [("main", 0), ("rates", 0), ("brief", 0), ("brief", 1)]
    assert (rows["main", 0]["state"], rows["rates", 0]["state"]) == ("ready", "ready")
    assert {rows["brief", 0]["state"], rows["brief", 1]["state"]} == {"failing"}
    assert line.endswith(f"orders knows {rows['rates', 0]['address'].replace('tcp:', 'http:')}/v1")
    assert "ready again" not in run.text
    async with httpx.AsyncClient(timeout=PATIENCE) as web:
        assert (await web.get(rows["rates", 0]["address"].replace("tcp:", "http:"))).status_code == 200
        assert (await web.get(f"http://127.0.0.1:{port}/rates/")).status_code == 200
    if not placement:
        assert "no supervised system runs from here" in (await told(directory, "reload", "alone.py"))[1]
