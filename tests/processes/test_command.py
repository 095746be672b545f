"""The command runs a placed system: `run --placement`, `process`, `ps`, `reload`."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, gone, meristem, output, told


async def test_a_placed_system_serves_is_shown_and_is_renewed_under_load(directory: Path, ended: list[Command]):
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    line = await run.shows("shop runs at")
    address = next(word for word in line.split() if word.startswith("http://"))

    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        pid, possible, stock_url, bank_url = (await web.get("/")).text.split()
        assert (possible, stock_url) == ("True", address)
        assert bank_url == f"{address}/bank"  # although it is hosted by another process
        assert (await web.get(f"{bank_url}/debit")).text == "/bank/debit"
        assert (await web.get("/api/stock/chair")).json() == 5

        _, shown = await told(directory, "ps", "--json")
        rows = {(row["name"], row["replica"]): row for row in json.loads(shown)}
        assert list(rows) == [("edge", 0), ("stock", 0), ("stock", 1), ("rest", 0)]
        assert rows["edge", 0]["pid"] == int(pid)
        assert all(row["state"] == "ready" and row["memory"] > 0 for row in rows.values())

        statuses: list[int] = []
        enough = asyncio.Event()

        async def visit(method: str, path: str, **headers: str) -> None:
            async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, headers=headers) as visitor:
                while not enough.is_set():
                    statuses.append((await visitor.request(method, path)).status_code)

        asked = [visit("GET", "/", connection="close"), visit("GET", "/bank/x"), visit("POST", "/bank/x")]
        visitors = [asyncio.create_task(each) for each in asked]
        async with run.read():  # there is a line for each visit
            code, said = await told(directory, "reload", "--wait")
            _, shown = await told(directory, "ps", "--json")
            enough.set()
            await asyncio.gather(*visitors)
        assert code == 0, said
        assert said.endswith("shop has been started anew\n")
        renewed = json.loads(shown)
        assert all(row["state"] == "ready" for row in renewed)
        assert {row["pid"] for row in renewed}.isdisjoint(row["pid"] for row in rows.values())
        for row in renewed:
            assert f"{row['name']}-{row['replica']} is ready as process {row['pid']}\n" in said
        assert set(statuses) == {200}, run.text
        assert (await web.get("/")).text.split()[0] != pid


async def test_a_reload_that_is_waited_for_tells_which_process_could_not_start(directory: Path, ended: list[Command]):
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    await run.shows("shop runs at")
    _, before = await told(directory, "ps", "--json")
    status = json.loads((directory / ".meristem/shop/running.json").read_text())
    assert status["placement"] == str(directory / "split.toml"), "by it, other commands find the databases"
    sound = (directory / "shop.py").read_text()
    (directory / "shop.py").write_text(sound + "\nraise RuntimeError('half written')\n")
    code, said = await told(directory, "reload", "--wait")

    assert code == 1
    assert "error: shop was not started anew, and the rest keeps running as it was: " in said
    assert "could not start (exit code 1)" in said
    assert "RuntimeError: half written" in said
    _, after = await told(directory, "ps", "--json")
    assert [row["pid"] for row in json.loads(after)] == [row["pid"] for row in json.loads(before)]

    (directory / "shop.py").write_text(sound)
    code, said = await told(directory, "reload", "--wait")
    assert (code, said.splitlines()[-1]) == (0, "shop has been started anew")


async def test_a_killed_service_comes_back_and_calls_succeed_again(directory: Path, ended: list[Command]):
    (directory / "split.toml").write_text('[processes]\nedge = ["web", "orders", "bank"]\nstock = ["stock"]\n')
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    line = await run.shows("shop runs at")
    address = next(word for word in line.split() if word.startswith("http://"))
    _, shown = await told(directory, "ps", "--json")
    pid = next(row["pid"] for row in json.loads(shown) if row["name"] == "stock")
    os.kill(pid, signal.SIGKILL)
    await run.shows("stock-0 ended (killed by SIGKILL)")
    await run.shows("stock-0 is ready again")

    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        assert (await web.get("/api/orders/chair")).json() is True


async def test_a_killed_replica_costs_only_the_calls_that_were_in_it(directory: Path, ended: list[Command]):
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    line = await run.shows("shop runs at")
    address = next(word for word in line.split() if word.startswith("http://"))
    _, shown = await told(directory, "ps", "--json")
    pid = next(row["pid"] for row in json.loads(shown) if (row["name"], row["replica"]) == ("stock", 1))
    answers: list[httpx.Response] = []
    enough = asyncio.Event()

    async def visit() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as visitor:
            while not enough.is_set():
                answers.append(await visitor.get("/api/orders/chair"))

    visitors = [asyncio.create_task(visit()) for _ in range(2)]
    os.kill(pid, signal.SIGKILL)
    await run.shows("stock-1 is ready again")
    enough.set()
    await asyncio.gather(*visitors)

    # every operation on the way is safe: what was in the replica is called again
    assert {answer.status_code for answer in answers} == {200}, run.text


BESIDE = """
from meristem import Program, System

ANSWER = '''
import http.server, os
class Answer(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
print("asks at", os.environ["RATINGS_URL"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
'''
system = System("beside", programs=[Program("ratings", ["python3", "-c", ANSWER], health="/")])
"""


async def test_a_program_lives_and_dies_with_a_system_in_one_process(directory: Path):
    (directory / "beside.py").write_text(BESIDE)
    run = await meristem(directory, "run", "beside.py", "--port", str(free_port()))
    try:
        url = (await run.shows("asks at")).split()[-1]
        await run.shows("beside runs at")
        async with httpx.AsyncClient(timeout=PATIENCE) as web:
            pid = int((await web.get(url)).text)
    finally:
        run.process.kill()
        await output(run.process)

    await gone(pid)


SLOWLY = """
from meristem import Program, System

ANSWER = '''
import http.server, os, signal, sys, time
def end(*_):
    while not os.path.exists("go"):
        time.sleep(0.02)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
class Answer(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
'''
system = System(
    "slowly", programs=[Program("ratings", ["python3", "-c", ANSWER], health="/", port=PLACE)]
)
"""


@pytest.mark.parametrize("placement", [[], ["--placement", "all.toml"]], ids=["one process", "processes"])
async def test_a_run_follows_a_killed_one_whose_program_holds_its_port(
    directory: Path, ended: list[Command], placement: list[str]
):
    (directory / "slowly.py").write_text(SLOWLY.replace("PLACE", str(free_port())))
    (directory / "all.toml").write_text('[processes]\nmain = ["*"]\n')
    command = ("run", "slowly.py", "--port", str(free_port()), *placement)
    first = await meristem(directory, *command)
    await first.shows("slowly runs at")
    first.process.kill()
    second = await meristem(directory, *command)
    ended.append(second)
    await second.shows("the run before was killed; waiting")
    (directory / "go").touch()  # the program ends now, before it would be made to
    await second.shows("slowly runs at")

    assert "started again" not in second.text
    await output(first.process)


@pytest.mark.parametrize(
    ("placement", "problem"),
    [
        ('[processes]\nedge = ["web", "stok"]\nrest = ["*"]\n', "did you mean 'stock'"),
        ('[processes]\nedge = ["web", "orders", "bank"]\n', "'stock' has no process"),
        ('[processes]\nedge = { services = ["*"], port = 70000 }\n', "port = 70000"),
    ],
)
async def test_a_wrong_placement_is_refused_before_anything_starts(directory: Path, placement: str, problem: str):
    (directory / "split.toml").write_text(placement)
    code, output = await told(directory, "run", "--placement", "split.toml")

    assert code == 1
    assert problem in output
    assert not (directory / ".meristem").exists()


async def test_a_process_alone_finds_others_by_variables(directory: Path, ended: list[Command]):
    shared = {"MERISTEM_SECRET": "0123456789" * 4}
    stock_port, rest_port = free_port(), free_port()
    stock = await meristem(
        directory,
        *("process", "--placement", "split.toml", "--process", "stock", "--listen", f"tcp://127.0.0.1:{stock_port}"),
        **shared,
    )
    rest = await meristem(
        directory,
        *("process", "--placement", "split.toml", "--process", "rest", "--public", f"tcp://127.0.0.1:{rest_port}"),
        **shared,
        STOCK_URL=f"http://127.0.0.1:{stock_port}",
    )
    ended += [rest, stock]
    await stock.shows("ready at")
    await rest.shows("ready at")

    async with httpx.AsyncClient(timeout=PATIENCE) as web:
        answer = await web.get(f"http://127.0.0.1:{rest_port}/api/orders/chair")
    assert answer.json() is True


async def test_a_process_alone_says_what_it_needs(directory: Path):
    nameless = await told(directory, "process", "--placement", "split.toml", "--listen", "tcp://127.0.0.1:0")
    deaf = await told(directory, "process", "--placement", "split.toml", "--process", "rest")

    assert "which process? the placement has edge, stock, rest" in nameless[1]
    assert "give --listen tcp://" in deaf[1]
    assert (nameless[0], deaf[0]) == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "up"),
    [
        (["process", "--public", "tcp://127.0.0.1:0"], "ready at"),
        (["run", "--port", "0"], "shop runs at"),
        (["run", "--port", "0", "--placement", "split.toml"], "shop runs at"),
    ],
)
async def test_a_process_ends_with_the_one_that_holds_its_lifeline(directory: Path, arguments: list[str], up: str):
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meristem", *arguments),
        cwd=directory,
        env={**os.environ, "MERISTEM_LIFELINE": str(reading)},
        pass_fds=[reading],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    os.close(reading)
    command = Command(process)
    await command.shows(up)
    os.close(writing)
    await command.shows("the supervisor is gone")
    await gone(process.pid)

    await output(process)
    assert process.returncode == 0
