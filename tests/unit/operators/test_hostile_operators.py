"""Who only looks on, and who is not even signed in, keeps nobody from acting and holds nothing up."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime, timedelta, timezone

import httpx
import pytest

from meristem.contracts.codec import decoder
from meristem.contracts.contract import operations
from meristem.dashboard.static_pages import DashboardPages
from meristem.errors import CallError, Code
from meristem.operators import observatory, server
from meristem.operators.action_log import ActionLog
from meristem.operators.actors import Actor
from meristem.operators.asking import Asking
from meristem.operators.event_contract import Events
from meristem.operators.health import READY, SILENT, InstanceHealth, SystemParts
from meristem.operators.observatory import Observatory
from meristem.operators.operator_contract import Operator
from meristem.operators.saga_contract import SagaOperations, SagaSearch
from meristem.operators.server import Dashboard, OperatorAddresses, OperatorServer
from meristem.operators.sign_in import OperatorSignIn
from meristem.operators.supervision_contract import ProcessControl
from meristem.operators.unsupervised import Unsupervised
from meristem.runtime.saga_desk import SagaDesk
from meristem.transports.http.server import listener

SIGN_IN = OperatorSignIn("shop", "0123456789" * 4)
BY_VIEWER = {"authorization": f"Bearer {SIGN_IN.viewer_token}"}
LONG = "%" * 60_000
VIEWER = Actor("viewer", "bearer")


class Nothing:
    """A system without parts."""

    system, pid, since, address, parts = "shop", 7, 1.0, "", SystemParts([], [])
    supervision = Unsupervised()

    def instances(self):
        return ()


@pytest.fixture
async def running(tmp_path):
    """A server of operators at a port and at a Unix socket; the addresses of both."""
    found = Observatory(Nothing(), tmp_path / "history.db", ActionLog(tmp_path / "actions.jsonl"))
    path = tmp_path / "operator.sock"
    made = OperatorServer(
        Nothing(), OperatorAddresses((f"unix:{path}", "tcp://127.0.0.1:0")), Dashboard(found, SIGN_IN, DashboardPages())
    )
    await made.start()
    yield next(each for each in made.addresses if each.startswith("http")), path
    await made.stop()


async def status(path, **options):
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=20) as client:
        return (await client.get("http://localhost/health/live", **options)).status_code


async def test_refusals_without_end_neither_fill_the_log_nor_keep_an_operator_waiting(tmp_path):
    log = ActionLog(tmp_path / "actions.jsonl")
    restart = operations(ProcessControl)["restart"]
    for _ in range(5000):
        log.refuse(VIEWER, restart, "you look on as a viewer")
    entry = await log.begin(Actor("operator", "socket"), restart, restart.request(process="rooms"))
    await log.end(entry, 0.1, None)
    events = [each.event for each in log.entries()]
    assert events[:2] == ["ended", "began"]
    assert 1 <= events.count("refused") < 50

    await asyncio.sleep(0.3)
    log.refuse(VIEWER, restart, "you look on as a viewer")
    log.close()
    assert " attempts before it that have no line)" in next(log.entries()).problem


async def test_whoever_uses_up_the_port_leaves_the_socket_to_its_user(running, monkeypatch):
    address, path = running
    port = int(address.rpartition(":")[2])
    with ExitStack() as opened:
        for _ in range(server.LIMITS.connections):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        await asyncio.sleep(0.1)
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/health/live")).status_code == 503
        assert await status(path) == 200


async def test_connections_that_nobody_uses_give_way_at_the_port(running, monkeypatch):
    monkeypatch.setattr(listener, "GIVES_WAY", 0.3)
    address, _ = running
    port = int(address.rpartition(":")[2])
    with ExitStack() as opened:
        for _ in range(server.LIMITS.connections):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(100):  # until they have been idle for long enough
            async with httpx.AsyncClient(base_url=address) as client:
                if (answer := await client.get("/health/live")).status_code == 200:
                    break
            await asyncio.sleep(0.1)
        assert answer.status_code == 200
        async with AsyncExitStack() as kept:  # each takes the place of one of them, and keeps it
            for _ in range(20):
                client = await kept.enter_async_context(httpx.AsyncClient(base_url=address))
                assert (await client.get("/health/live")).status_code == 200


async def test_pages_that_are_told_what_is_new_leave_connections_to_ask_by(running, monkeypatch):
    monkeypatch.setattr(observatory, "STREAMS", 2)
    address, _ = running
    async with httpx.AsyncClient(base_url=address, headers=BY_VIEWER, timeout=20) as client:
        async with client.stream("GET", "/live") as first, client.stream("GET", "/live") as second:
            assert (first.status_code, second.status_code) == (200, 200)
            answer = await client.get("/live")
            assert (answer.status_code, "close some" in answer.text) == (503, True)
        for _ in range(100):  # the server learns of it a moment later
            async with client.stream("GET", "/live") as later:
                if later.status_code == 200:
                    break
            await asyncio.sleep(0.05)
        assert later.status_code == 200


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/%09/evil.example", "/%09/evil.example"),
        ("/%0d%0aset-cookie:%20a=b", "/%0D%0Aset-cookie%3A%20a%3Db"),
        ("/%0a/evil.example", "/%0A/evil.example"),
        ("//evil.example", "/evil.example"),
        ("/a%3Fb%23c", "/a%3Fb%23c"),
        ("/traces/%c3%a4", "/traces/%C3%A4"),
    ],
)
async def test_a_link_with_a_token_leads_to_this_address_alone(running, path, where):
    address, _ = running
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{address}{path}?token={SIGN_IN.viewer_token}&x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{where}?x=1")


async def test_a_question_about_the_server_itself_has_no_page(running):
    _, path = running
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert b" 404 " in (await reader.read()).partition(b"\r\n")[0]
    writer.close()


@pytest.mark.parametrize(
    ("contract", "name", "asked"),
    [
        (Operator, "traces", f'{{"text": "{LONG}"}}'),
        (Operator, "logs", f'{{"text": "{LONG}"}}'),
        (Operator, "logs", '{"before": 9223372036854775808}'),
        (SagaOperations, "find", '{"where": {' + ",".join(f'"f{number}": "x"' for number in range(3000)) + "}}"),
        (SagaOperations, "find", '{"before": "2020-01-01T00:00:00"}'),
        (SagaOperations, "find", '{"after": {"created": "2020-01-01T00:00:00", "id": ""}}'),
        (Events, "dead", f'{{"like": {{"text": "{LONG}"}}}}'),
        (Events, "letter", '{"service": "a", "number": 9223372036854775808}'),
        (Events, "redrive", '{"numbers": {"a": [9223372036854775808]}}'),
    ],
)  # fmt: skip
def test_what_no_database_could_look_for_is_refused_before_one_is_asked(contract, name, asked):
    with pytest.raises(ValueError, match="Expected|expected"):
        decoder(operations(contract)[name].request)(asked.encode())


async def test_a_time_that_no_database_knows_is_refused():
    class Keepers:
        def services(self):
            return {}

    west = timezone(timedelta(hours=-12))
    with pytest.raises(CallError, match="is no time of the years 1 to 9999"):
        await SagaDesk(Keepers()).find(SagaSearch(before=datetime(9999, 12, 31, 23, tzinfo=west)))


class Frozen:
    """A replica that takes a question and never answers; `status` is what it is when somebody asks whether it turns."""

    services, restarts = ("rooms",), 0

    def __init__(self, status, replica="0"):
        self.labels = {"process": "rooms", "replica": replica}
        self.told = InstanceHealth("rooms", int(replica), status, 7, 0, 1.0, problem="it gives no sign of life")

    async def health(self):
        return self.told

    async def ask(self, operation, request):
        if self.told.status == SILENT:
            await asyncio.sleep(60)
        await asyncio.sleep(0.05)
        return "told"


def asking(*replicas):
    overview = Nothing()
    overview.instances = lambda: replicas
    return Asking(overview)


async def test_a_process_that_hangs_is_named_long_before_a_slow_answer_would_be_given_up(monkeypatch):
    monkeypatch.setattr("meristem.operators.asking.SLOW", 0.01)
    dead, redrive = operations(Events)["dead"], operations(Events)["redrive"]
    async with asyncio.timeout(3):
        assert (await asking(Frozen(SILENT)).everywhere(dead, None)).silent == ["rooms"]
        with pytest.raises(CallError, match="process rooms does not answer: it gives no sign of life"):
            await asking(Frozen(SILENT)).service("rooms", dead, None)
        assert await asking(Frozen(SILENT), Frozen(READY, "1")).service("rooms", dead, None) == "told"
        assert await asking(Frozen(READY)).service("rooms", dead, None) == "told"
    with pytest.raises(TimeoutError):  # what changes something may still be done
        await asyncio.wait_for(asking(Frozen(SILENT)).service("rooms", redrive, None), 0.3)


class Answering:
    """A replica of a process with one service, which says something or fails."""

    restarts = 0

    def __init__(self, process, said):
        self.labels, self.services, self._said = {"process": process, "replica": "0"}, (process,), said

    async def ask(self, operation, request):
        if isinstance(self._said, CallError):
            raise self._said
        return self._said


async def test_a_process_that_fails_is_named_and_hides_nothing_of_the_others():
    asked = asking(
        Answering("rooms", CallError(Code.INTERNAL, "Events.dead failed; the log says why")), Answering("users", "told")
    )
    told = await asked.everywhere(operations(Events)["dead"], None)
    assert (told.told, told.silent) == (["told"], ["rooms"])
    with pytest.raises(CallError, match="wrong"):  # what is wrong with the question is said
        await asking(Answering("rooms", CallError(Code.INVALID_ARGUMENT, "wrong"))).everywhere(
            operations(Events)["dead"], None
        )
