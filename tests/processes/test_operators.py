"""One address tells operators of every process of a system, also of one that is down or hangs."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from meristem import CallError, connect
from meristem.operators.actions_contract import Actions, ActionSearch
from meristem.operators.catalogue_contract import CallFor, Catalogue, OperatorCall, Snippet, SnippetQuestion
from meristem.operators.operator_contract import LogSearch, Operator, TraceSearch
from meristem.operators.supervision_contract import ProcessControl
from meristem.runtime.remote import RemoteSystem
from meristem.supervision import readiness
from meristem.supervision.ports import free_port
from meristem.system.plan import ProcessPlan, ProgramPlan

from .conftest import PATIENCE, Command, meristem, plan, told

EDGE = ProcessPlan("edge", (), ("web",))
TWO = ProcessPlan("stock", ("stock",), (), replicas=2)
ASLEEP = ProgramPlan("ratings", (sys.executable, "-c", "import time; time.sleep(3600)"))


def operator_of(run: Path) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(run / "operator.sock"))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE)


def ups(text: str) -> dict[tuple[str, ...], float]:
    family = next(each for each in text_string_to_metric_families(text) if each.name == "meristem_up")
    return {tuple(each.labels.values()): each.value for each in family.samples}


async def test_what_hangs_and_what_died_is_told_and_keeps_nobody_waiting(supervisor_of, screen, tmp_path, monkeypatch):
    async with supervisor_of(plan(EDGE, TWO, programs=(ASLEEP,))) as supervisor:
        await supervisor.start()
        hung, died = (each.pid for each in supervisor.statuses() if each.process == "stock")
        async with operator_of(supervisor.run) as operator:
            before = await operator.get("/health")
            monkeypatch.setattr(readiness, "PATIENCE", 0.2)
            (tmp_path / "stock-1.crash").touch()
            os.kill(hung, signal.SIGSTOP)
            os.kill(died, signal.SIGKILL)
            try:
                await screen.shows("stock-1 ended (exit code 7)")
                after = (await operator.get("/health")).json()
                page = await operator.get("/metrics?process=stock")
            finally:
                os.kill(hung, signal.SIGCONT)

    assert (before.status_code, before.json()["programs"][0]["status"]) == (200, "ready")
    assert [each["status"] for each in before.json()["processes"]] == ["ready"] * 3
    _, silent, down = after["processes"]
    assert (after["status"], silent["status"], silent["pid"]) == ("not ready", "silent", hung)
    assert silent["problem"] == "it does not answer within 0.2 s"
    assert down["status"] in ("starting", "waiting", "failing")
    assert down["restarts"] >= 1
    assert ups(page.text) == {("stock", "0"): 0, ("stock", "1"): 0}


async def test_the_operators_look_in_before_everything_is_ready(supervisor_of, screen, tmp_path: Path):
    (tmp_path / "stock-0.slow").touch()
    async with supervisor_of(plan(TWO)) as supervisor:
        starting = asyncio.ensure_future(supervisor.start())
        await screen.shows("began", 2)
        async with operator_of(supervisor.run) as operator:
            early = await operator.get("/health")
            (tmp_path / "stock-0.slow").unlink()
            await starting
            late = await operator.get("/health/ready")

    assert (early.status_code, early.json()["processes"][0]["status"]) == (503, "starting")
    assert late.status_code == 200


async def test_health_in_public_comes_last_and_stays_when_a_service_elsewhere_does_not_answer(
    directory: Path, ended: list[Command]
):
    port, operators = free_port(), f"127.0.0.1:{free_port()}"
    side = ["--operator", f"tcp://{operators}"]
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", str(port), *side)
    ended.append(run)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as balancer,
        httpx.AsyncClient(base_url=f"http://{operators}", timeout=PATIENCE) as operator,
    ):
        first = await asked_until_answered(balancer, "/health")  # connections wait until the edge takes them
        others = [each for each in (await operator.get("/health")).json()["processes"] if each["process"] != "edge"]
        await run.shows("shop runs at")
        stock = [each["pid"] for each in others if each["process"] == "stock"]
        for pid in stock:
            os.kill(pid, signal.SIGSTOP)
        try:
            during = await balancer.get("/health")
            refused = await balancer.get("/api/stock/lamp")
            system = await operator.get("/health/ready")
        finally:
            for pid in stock:
                os.kill(pid, signal.SIGCONT)

    assert (first.status_code, during.status_code) == (200, 200)
    assert {each["status"] for each in others} == {"ready"}
    assert refused.status_code in (503, 504)
    assert (system.status_code, system.json()) == (503, {"status": "not ready"})


async def asked_until_answered(client: httpx.AsyncClient, path: str) -> httpx.Response:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await client.get(path)
            except httpx.ConnectError:  # nobody has opened the port yet
                await asyncio.sleep(0.05)


async def test_one_address_has_the_figures_of_every_process(directory, ended: list[Command]):
    operators = "tcp://127.0.0.1:0"
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0", "--operator", operators)
    ended.append(run)
    line = await run.shows("shop runs at")
    public = next(word for word in line.split() if word.startswith("http://"))
    operator = next(each for each in run.text.splitlines() if "dashboard at" in each).split()[-1].partition("/?")[0]

    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        assert (await browser.get(f"{public}/health")).json() == {"status": "ready"}
        assert (await browser.get(f"{public}/metrics")).text.split()[1] == "True"  # the app's own
        assert (await browser.get(f"{public}/api/stock/lamp")).json() == 4
        assert (await browser.get(f"{public}/api/docs")).headers["content-type"].startswith("text/html")
        health = await browser.get(f"{operator}/health")
        plain = await browser.get(f"{operator}/metrics")
        one = await browser.get(f"{operator}/metrics?process=stock&replica=1")
        form = await browser.get(
            f"{operator}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"}
        )

    told_of = {(each["process"], each["replica"]): each for each in health.json()["processes"]}
    assert set(told_of) == {("edge", 0), ("stock", 0), ("stock", 1), ("rest", 0)}
    assert {each["status"] for each in told_of.values()} == {"ready"}
    assert (told_of["rest", 0]["services"], told_of["rest", 0]["apps"]) == (["orders"], ["bank"])
    assert "API page at" in run.text
    assert ups(plain.text) == {(name, str(number)): 1 for name, number in told_of}
    assert ups(one.text) == {("stock", "1"): 1}
    answered = [
        sample
        for family in openmetrics.text_string_to_metric_families(form.text)
        for sample in family.samples
        if sample.name == "meristem_server_requests_total" and sample.labels["operation"] == "Stock.left"
    ]
    assert {each.labels["process"] for each in answered} == {"stock"}
    assert sum(each.value for each in answered) >= 1


async def test_a_process_alone_takes_addresses_for_each_side(directory, ended: list[Command]):
    which = ["process", "--placement", "split.toml", "--process"]
    sides = ["--public", "tcp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--operator", "unix:operator.sock"]
    stock = await meristem(directory, *which, "stock", *sides)
    ended.append(stock)
    addresses = (await stock.shows("ready at")).partition("ready at ")[2].strip().split(", ")
    internal, public = (each.replace("tcp://", "http://") for each in addresses)

    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        live = await browser.get(f"{internal}/health/live")
        rest = await browser.get(f"{public}/api/stock/lamp")
        hidden = [await browser.get(f"{public}{path}") for path in ("/metrics", "/health/live", "/api/docs")]
    async with operator_of(directory) as operator:
        health = (await operator.get("/health")).json()

    assert (live.status_code, rest.json(), [each.status_code for each in hidden]) == (200, 4, [404, 404, 404])
    assert [(each["process"], each["services"]) for each in health["processes"]] == [("stock", ["stock"])]


async def test_a_process_alone_has_a_dashboard_for_who_signs_in_at_loopback_and_says_so_elsewhere(
    directory, ended: list[Command]
):
    near, far = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    sides = ["--public", "tcp://127.0.0.1:0", "--operator", near.replace("http", "tcp")]
    sides += ["--operator", far.replace("http", "tcp").replace("127.0.0.1", "0.0.0.0")]
    stock = await meristem(directory, "process", "--placement", "split.toml", "--process", "stock", *sides)
    ended.append(stock)
    public = (await stock.shows("ready at")).partition("ready at ")[2].strip().replace("tcp://", "http://")
    code, text = await told(directory, "dashboard", "--address", near)
    link = text.split()[-1]
    async with httpx.AsyncClient(timeout=PATIENCE, follow_redirects=True) as browser:
        stranger = await browser.get(near)
        page = await browser.get(link)
        assert (await browser.get(f"{public}/api/stock/lamp")).status_code == 200
        elsewhere = await browser.get(f"{far}/traces")
        figures = await browser.get(f"{far}/metrics")
    async with connect(near, token=link.partition("token=")[2]) as system:
        operator, control = system.client(Operator), system.client(ProcessControl)
        [trace] = await until(lambda: operator.traces(TraceSearch(service="stock")), bool)
        [access] = await until(lambda: operator.logs(LogSearch(text="GET /api/stock/lamp 200")), bool)
        [process] = await operator.processes()
        with pytest.raises(CallError, match="what runs them"):
            await control.restart("stock")

    assert (code, stranger.status_code, page.status_code) == (0, 401, 200)
    assert "<title>" in page.text
    assert (trace.services, access.process, process.name) == (["stock"], "stock", "stock")
    assert (elsewhere.status_code, figures.status_code) == (404, 200)
    assert "ask at one of loopback" in elsewhere.json()["detail"]


async def test_an_edge_that_hosts_an_app_needs_a_public_address(directory):
    which = ["process", "--placement", "split.toml", "--process", "edge"]
    code, text = await told(directory, *which, "--listen", "tcp://127.0.0.1:0")

    assert code == 2
    assert "edge hosts web, and nothing listens there for the public: give --public" in " ".join(text.split())


async def test_a_placement_says_where_operators_read(directory, ended: list[Command]):
    placement = directory / "split.toml"
    placement.write_text(f'{placement.read_text()}\n[operator]\nlisten = "unix:{directory}/operator.sock"\n')
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    await run.shows("shop runs at")
    async with operator_of(directory) as operator:
        assert (await operator.get("/health")).status_code == 200

    assert "operators at unix:" in run.text
    assert "8001" not in run.text


async def test_an_address_of_a_placement_that_is_taken_fails_the_run_before_anything_starts(directory):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        placement = directory / "split.toml"
        placement.write_text(f'{placement.read_text()}\n[operator]\nlisten = "{taken}"\n')
        code, text = await told(directory, "run", "--placement", "split.toml", "--port", "0")

    assert code == 1
    assert f"cannot listen on {taken}" in text
    assert "| ready" not in text


@pytest.mark.parametrize("placed", [True, False], ids=["split", "alone"])
async def test_a_request_is_one_tree_over_all_processes_and_the_map_has_who_called_whom(
    directory, ended: list[Command], placed: bool
):
    placement = ["--placement", "split.toml"] if placed else []
    async with looked_at(directory, ended, *placement) as (browser, public, system):
        operator = system.client(Operator)
        assert (await browser.get(public)).status_code == 200
        [trace] = await until(lambda: operator.traces(TraceSearch(service="stock")), bool)
        spans = await until(lambda: operator.trace(trace.trace_id), lambda told: told and not told[0].parent_id)
        [access] = await until(lambda: operator.logs(LogSearch(trace_id=spans[0].trace_id)), bool)
        seen = await until(operator.system, lambda told: any(each.calls for each in told.edges))
        processes = await until(operator.processes, lambda told: all(each.memory for each in told))
        [counted] = [each for each in await operator.operations() if each.operation == "Stock.left"]

    names = {each.span_id: each.service for each in spans}
    roots = [each.service for each in spans if not each.parent_id]
    assert roots == ["web"]
    assert all(each.parent_id in names for each in spans if each.parent_id)  # one tree
    assert set(names.values()) == {"web", "orders", "stock"}  # by wire, too, calls are the app's that made them
    assert {each.process for each in spans} == ({"edge", "rest", "stock"} if placed else {"main"})
    assert (access.logger, access.message) == ("meristem.access", "GET / 200")
    edges = {(each.source, each.target): (each.declared, each.calls) for each in seen.edges}
    assert edges == {
        ("service:orders", "service:stock"): (True, 1),
        ("app:web", "service:orders"): (True, 1),
        ("outside", "app:web"): (True, None),
    }
    assert len(processes) == (4 if placed else 1)
    assert counted.calls == 1


async def test_what_was_recorded_is_there_after_a_restart_and_errors_with_their_trace(directory, ended: list[Command]):
    first = await recorded(directory, ended, ["/api/stock/lamp", "/api/stock/broken"])
    assert await recorded(directory, ended, []) == first
    [error], traces = first
    assert (error.service, error.count) == ("stock", 1)
    assert "there is no broken" in error.message
    assert [(each.trace_id == error.trace_id, each.failed) for each in traces] == [(True, 1), (False, 0)]


@pytest.mark.parametrize("placed", [True, False], ids=["split", "alone"])
async def test_an_operator_calls_where_the_service_lives_and_each_snippet_does_as_it_stands(
    directory, ended: list[Command], placed: bool
):
    placement = ["--placement", "split.toml"] if placed else []
    asked = CallFor(
        service="orders",
        contract="shop.orders.v1.Orders",
        operation="possible",
        request='{"item": "it\'s"}',
        user="ada",
    )
    named = {name: getattr(asked, name) for name in CallFor.__struct_fields__}
    async with looked_at(directory, ended, *placement) as (_, public, system):
        catalogue, operator = system.client(Catalogue), system.client(Operator)
        contracts = (await catalogue.contracts()).contracts
        answer = await catalogue.call(OperatorCall(**named))
        spans = await until(lambda: operator.trace(answer.trace_id), lambda told: len(told) >= 3 + placed)
        [action] = await system.client(Actions).actions(ActionSearch())
        snippets = await catalogue.snippets(SnippetQuestion(**named | {"user": ""}))
        mine = {each.language: each for each in await catalogue.snippets(SnippetQuestion(**named))}
        for each in [*snippets, mine["Python"], mine["Command"]]:
            assert await _run_snippet(directory, each) in ("true", "True", '{"result":true}', "{ result: true }")

    assert [(each.name, each.callers) for each in contracts] == [
        ("shop.orders.v1.Orders", []),
        ("shop.stock.v1.Stock", ["orders"]),
    ]
    assert (answer.reply, answer.code) == ("true", "")
    assert (action.operation, action.outcome, json.loads(action.arguments)["user"]) == ("call", "done", "ada")
    assert (spans[0].service, spans[0].parent_id) == ("operator", "")
    assert {"operator", "orders", "stock"} == {each.service for each in spans}
    assert public in mine["curl"].text


async def _run_snippet(directory: Path, snippet: Snippet) -> str:
    """What a snippet prints, where it is run as people run it."""
    if snippet.language == "TypeScript" and shutil.which("node") is None:
        return "true"  # this machine has nothing to run it
    programs = {"Python": [sys.executable, "-"], "TypeScript": ["node", "--input-type=module", "-"]}
    shell = ["sh", "-ec"]
    written = programs.get(snippet.language, [*shell, snippet.text])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = await asyncio.create_subprocess_exec(
        *written, cwd=directory, env=os.environ | {"PATH": path}, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(ran.communicate(snippet.text.encode()), PATIENCE)
    assert ran.returncode == 0, f"{snippet.language}: {err.decode()}\n{snippet.text}"
    return out.decode().strip()


@asynccontextmanager
async def looked_at(
    directory: Path, ended: list[Command], *arguments: str
) -> AsyncIterator[tuple[httpx.AsyncClient, str, RemoteSystem]]:
    """A run of the shop: a browser, the public address, and what answers who signed in by the link that it printed."""
    run = await meristem(directory, "run", *arguments, "--port", "0", "--operator", "tcp://127.0.0.1:0")
    ended.append(run)
    line = await run.shows("shop runs at")
    public = next(word for word in line.split() if word.startswith("http://"))
    link = next(each for each in run.text.splitlines() if "dashboard" in each).split()[-1]
    operators, _, token = link.partition("/?token=")
    async with (
        run.read(),
        httpx.AsyncClient(timeout=PATIENCE) as browser,
        connect(operators, token=token) as system,
    ):
        yield browser, public, system


async def recorded(directory: Path, ended: list[Command], paths: list[str]) -> tuple[Any, Any]:
    """The errors and traces that a system tells of when it was asked for this, and has ended."""
    async with looked_at(directory, ended) as (browser, public, system):
        operator = system.client(Operator)
        for path in paths:
            await browser.get(f"{public}{path}")
        search = TraceSearch(operation="left")
        traces = await until(lambda: operator.traces(search), lambda told: len(told) == 2)
        errors = await operator.errors(10)
    run = ended[-1]
    run.process.terminate()
    await run.process.wait()
    return errors, traces


async def until(ask: Callable[[], Awaitable[Any]], fits: Callable[[Any], Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not fits(found := await ask()):
            await asyncio.sleep(0.1)
    return found
