"""The operator contract over what processes tell: the map, figures, processes, and the stream of what is new."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from meristem.dashboard.static_pages import DashboardPages
from meristem.errors import CallError, Code
from meristem.operators import event_watch, gatherer
from meristem.operators.action_log import ActionLog
from meristem.operators.event_contract import EventOverview, OutboxView, SubscriberView, WaitingView
from meristem.operators.health import InstanceHealth, SystemParts
from meristem.operators.history_slots import KEPT, Slots
from meristem.operators.inspection import CallsMade, OperationCounts, ProcessDigest
from meristem.operators.load_views import ServiceLoad
from meristem.operators.observatory import Observatory
from meristem.operators.operator_contract import MapEdge, MapNode, Operator, SpanView, TraceSearch
from meristem.operators.operator_tokens import OperatorTokens
from meristem.operators.server import Dashboard, OperatorAddresses, OperatorServer
from meristem.operators.sign_in import OperatorSignIn
from meristem.operators.unsupervised import Unsupervised
from meristem.runtime.remote import connect

SIGN_IN = OperatorSignIn("shop", "0123456789" * 4)
SIGNED_IN = {"authorization": f"Bearer {SIGN_IN.token}"}
PARTS = SystemParts(
    [
        MapNode(id="service:shop", kind="service", name="shop", process="main"),
        MapNode(id="service:stock", kind="service", name="stock", process="stock"),
        MapNode(id="app:web", kind="app", name="web", process="main"),
        MapNode(id="external:bank", kind="external", name="bank"),
    ],
    [
        MapEdge(source="service:shop", target="service:stock", kind="call"),
        MapEdge(source="service:shop", target="external:bank", kind="call"),
    ],
)


def counts(service, operation, calls, failed=0, side="server"):
    buckets = [0, calls, *[0] * 16]
    return OperationCounts(
        side=side, service=service, operation=operation, calls=calls, failed=failed, in_flight=1,
        buckets=buckets,
    )  # fmt: skip


class Part:
    """A replica of a process, which tells what a test says."""

    restarts = 2
    services = ()

    def __init__(self, process, replica=0, status="ready"):
        self.labels = {"process": process, "replica": str(replica)}
        self.life, self.spans, self.operations, self.made, self.cpu = "first", [], [], [], 1.0
        self.is_silent = False
        self.loads = []
        self.events = EventOverview(events=[], subscribers=[], outboxes=[])
        self._health = InstanceHealth(process, replica, status, 7, self.restarts, 1.0)

    async def health(self):
        return self._health

    async def figures(self, media):
        return None

    async def ask(self, operation, request):
        if self.is_silent:
            raise TimeoutError("it hangs")
        if operation.name == "overview":
            return self.events
        known = request.seen if request.life == self.life else 0
        return ProcessDigest(
            life=self.life, seen=len(self.spans), lost=0, spans=self.spans[known:], operations=self.operations,
            made=self.made, cpu=self.cpu, memory=1000, loop_lag=0.002, loads=self.loads,
        )  # fmt: skip


class Parted:
    """A system of such parts."""

    system, pid, since, address, parts, supervision = "shop", 7, 1.0, "http://shop.example", PARTS, Unsupervised()

    def __init__(self, *found):
        self.found = found

    def instances(self):
        return self.found


@asynccontextmanager
async def observed(tmp_path, *parts, listen="tcp://127.0.0.1:0", sign_in=SIGN_IN):
    """Clients of the contract, as this machine's operators have them, and its address."""
    overview = Parted(*parts)
    dashboard = Dashboard(
        Observatory(overview, tmp_path / "history.db", ActionLog(tmp_path / "actions.jsonl")), sign_in, DashboardPages()
    )
    server = OperatorServer(overview, OperatorAddresses((listen,)), dashboard)
    await server.start()
    try:
        async with connect(str(server.address), token=SIGN_IN.token) as system:
            yield system.client(Operator), str(server.address)
    finally:
        await server.stop()


async def until(ask, fits):
    """What is answered once it fits."""
    async with asyncio.timeout(20):
        while not fits(found := await ask()):
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(gatherer, "PAUSE", 0.05)


async def test_the_map_tells_declared_calls_from_made_ones(tmp_path):
    main, stock = Part("main"), Part("stock", status="starting")
    main.made = [
        CallsMade(caller="shop", service="stock", operation="Stock.take", calls=5),
        CallsMade(caller="web", service="shop", operation="Shop.order", calls=3),
        CallsMade(caller="stock", service="shop", operation="Shop.order", calls=2),
    ]
    main.operations = [counts("shop", "Shop.order", 0), counts("shop", "Stock.take", 0, side="client")]
    main.spans = [span("web", "a"), span("shop", "b", "a")]
    async with observed(tmp_path, main, stock) as (operator, _):
        await until(operator.system, lambda told: any(each.calls for each in told.edges))
        main.operations = [counts("shop", "Shop.order", 9), counts("shop", "Stock.take", 5, 1, side="client")]
        stock.operations = [counts("stock", "Stock.take", 5)]
        found = await until(operator.system, lambda told: len(told.edges) == 5)
    edges = {(each.source, each.target): (each.declared, each.calls) for each in found.edges}
    assert edges == {
        ("service:shop", "service:stock"): (True, 5),
        ("service:shop", "external:bank"): (True, 0),
        ("app:web", "service:shop"): (True, 3),
        ("service:stock", "service:shop"): (False, 2),
        ("outside", "service:shop"): (True, 4),  # answered, and asked for by nobody here
    }
    nodes = {each.id: each for each in found.nodes}
    assert (nodes["service:stock"].status, nodes["service:stock"].ready) == ("starting", 0)
    assert (nodes["service:shop"].status, nodes["service:shop"].replicas) == ("ready", 1)
    [edge] = [each for each in found.edges if each.target == "service:stock"]
    assert edge.figures is not None
    assert edge.figures.failed == pytest.approx(0.2)


def span(service, span_id, parent="", trace="c"):
    return SpanView(
        trace_id=trace * 32, span_id=span_id * 16, parent_id=parent * 16, name=f"{service}/x", kind="server",
        service=service, process="main", replica=0, start=time.time(), duration=0.1,
    )  # fmt: skip


async def test_a_replica_that_began_anew_takes_nothing_back(tmp_path):
    stock, other = Part("stock"), Part("stock", 1)
    stock.operations, other.operations = [counts("stock", "Stock.take", 0)], [counts("stock", "Stock.take", 0)]
    async with observed(tmp_path, stock, other) as (operator, _):
        await until(operator.operations, bool)
        stock.operations, other.operations = [counts("stock", "Stock.take", 40)], [counts("stock", "Stock.take", 2)]
        await until(operator.operations, lambda told: told[0].calls == 42)
        stock.life, stock.operations = "second", [counts("stock", "Stock.take", 1)]
        [after] = await until(operator.operations, lambda told: told[0].calls == 3)
    assert after.figures.rate >= 0
    assert after.figures.in_flight == 2


async def test_a_replica_that_hangs_keeps_nobody_waiting_and_is_told_of(tmp_path):
    stock, silent = Part("stock"), Part("stock", 1, status="silent")
    silent.is_silent = True
    stock.spans = [span("stock", "a")]
    async with observed(tmp_path, stock, silent) as (operator, _):
        [trace] = await until(lambda: operator.traces(TraceSearch()), bool)
        processes = await until(operator.processes, lambda told: told[0].cpu is not None)
    assert trace.name == "stock/x"
    assert [(each.status, each.restarts, each.memory) for each in processes] == [
        ("ready", 2, 1000),
        ("silent", 2, None),
    ]


async def test_what_each_replica_carries_is_told(tmp_path):
    stock, other = Part("stock"), Part("main")
    stock.loads = [ServiceLoad(service="stock", limit=32, inside=32, waiting=5, shed=2)]
    async with observed(tmp_path, stock, other) as (operator, _):
        main, told = await until(operator.loads, lambda found: len(found) == 2)
    assert (main.process, main.loop_lag, main.services) == ("main", 0.002, [])
    assert (told.process, told.services) == ("stock", stock.loads)


async def test_what_replicas_carry_and_which_events_wait_is_looked_back_on(tmp_path, monkeypatch):
    has_ended, told = asyncio.Event(), set()

    def ended(slots, now):
        """Ten seconds end once for each who asks, when the test says so."""
        if not has_ended.is_set() or slots in told:
            return None
        told.add(slots)
        return now // KEPT * KEPT - 20

    monkeypatch.setattr(Slots, "ended", ended)
    monkeypatch.setattr(event_watch, "LOOK", 0.05)
    stock, main = Part("stock"), Part("main")
    stock.services = ("stock",)
    stock.loads = [ServiceLoad(service="stock", limit=32, inside=32, waiting=5, shed=2)]
    stock.events = EventOverview(
        events=[],
        subscribers=[SubscriberView(name="shop", waiting=3, lag=7)],
        outboxes=[
            OutboxView(
                service="stock",
                waiting=[WaitingView(subscriber="shop", count=3, oldest=time.time() - 60)],
                dead={"shop": 1},
            )
        ],
    )
    async with observed(tmp_path, stock, main) as (operator, _):
        await until(operator.loads, lambda found: len(found) == 2)
        stock.loads = [ServiceLoad(service="stock", limit=32, inside=32, waiting=1, shed=12)]
        await until(operator.loads, lambda found: found[1].services == stock.loads)
        has_ended.set()
        [point] = await until(lambda: operator.load_history("stock", 15), bool)
        [own] = await operator.replica_history("stock", 15)
        [waited] = await until(lambda: operator.event_history("stock", "shop", 15), bool)
        assert await operator.load_history("nobody", 15) == []
    assert (point.waiting, point.shed, point.memory, point.loop_lag) == (5, 1.0, 1000, 0.002)
    assert (own.replica, own.points) == (0, [point])
    assert (waited.waiting, waited.dead, waited.lag) == (3, 1, None)  # with the broker it is nobody's outbox
    assert waited.age == pytest.approx(60, abs=20)


async def test_spans_of_one_life_are_taken_once_and_those_of_the_next_from_its_begin(tmp_path):
    stock = Part("stock")
    stock.spans = [span("stock", "a", trace="a")]
    async with observed(tmp_path, stock) as (operator, _):

        async def spans(trace):
            return [each.span_id[0] for each in await operator.trace(trace * 32)]

        await until(lambda: spans("a"), lambda told: told == ["a"])
        stock.spans = [*stock.spans, span("stock", "b", trace="a")]
        await until(lambda: spans("a"), lambda told: told == ["a", "b"])
        stock.life, stock.spans = "second", [span("stock", "d", trace="d")]
        await until(lambda: spans("d"), lambda told: told == ["d"])
        assert await spans("a") == ["a", "b"]


async def test_a_stream_says_what_is_new(tmp_path):
    stock = Part("stock")
    reader = httpx.AsyncClient(timeout=20, headers=SIGNED_IN)
    async with observed(tmp_path, stock) as (_, address), reader as browser:
        async with browser.stream("GET", f"{address}/live") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            told = (
                json.loads(each.removeprefix("data: ")) async for each in stream.aiter_lines() if each[:5] == "data:"
            )
            assert (await anext(told))["spans"] == 0
            stock.spans = [span("stock", "a")]
            while (await anext(told))["spans"] != 1:
                pass
        assert (await browser.post(f"{address}/live")).status_code == 405


async def test_a_stream_ends_soon_after_its_token_was_revoked(tmp_path):
    kept = tmp_path / "operator_tokens.json"
    command, sign_in = OperatorTokens(kept, {}), OperatorSignIn("shop", "0123456789" * 4, kept)
    ada, bob = command.add("ada", "viewer"), command.add("bob", "viewer")
    async with observed(tmp_path, sign_in=sign_in) as (_, address), httpx.AsyncClient(timeout=20) as browser:
        of_ada, of_bob = ({"headers": {"authorization": f"Bearer {each}"}} for each in (ada, bob))
        async with (
            browser.stream("GET", f"{address}/live", **of_ada) as hers,
            browser.stream("GET", f"{address}/live", **of_bob) as his,
        ):
            lines = his.aiter_lines()
            await anext(lines)
            command.revoke("ada")
            async with asyncio.timeout(15):
                told = [each async for each in hers.aiter_lines()]
            assert told[0] == "event: change"
            for _ in range(4):
                await anext(lines)
        assert (await browser.get(f"{address}/live", **of_ada)).status_code == 401


async def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(tmp_path):
    reader = httpx.AsyncClient(headers=SIGNED_IN)
    async with observed(tmp_path, Part("stock")) as (_, address), reader as browser:
        for path in ("/meristem.operator.v1.Operator/System", "/live", "/health"):
            answer = await browser.post(f"{address}{path}", json={}, headers={"host": "evil.example"})
            assert answer.status_code == 403, path
        refused = await browser.post(f"{address}/meristem.operator.v1.Operator/Traces", content="service=stock")
    assert refused.status_code == 415  # what a form of another site can send is no request


async def test_an_address_that_others_reach_has_health_and_figures_alone(tmp_path):
    async with observed(tmp_path, Part("stock"), listen="tcp://0.0.0.0:0") as (operator, address):
        async with httpx.AsyncClient(base_url=address.replace("0.0.0.0", "127.0.0.1")) as browser:
            assert (await browser.get("/health")).status_code == 200
            assert (await browser.get("/live")).status_code == 404
        with pytest.raises(CallError):
            await operator.system()


async def test_who_does_not_know_the_token_sees_health_and_figures_and_a_form(tmp_path):
    async with observed(tmp_path, Part("stock")) as (_, address), httpx.AsyncClient(base_url=address) as browser:
        assert (await browser.get("/dashboard/style/sign_in.css")).status_code == 200
        for path in ("/", "/traces", "/live"):
            asked = await browser.get(path)
            assert (asked.status_code, "Sign in" in asked.text) == (401, True), path
        assert (await browser.get("/health/ready")).status_code == 200
        wrong = await browser.post("/sign-in", data={"token": "wrong"})
        assert (wrong.status_code, "not a token" in wrong.text, wrong.cookies) == (401, True, {})
        assert (await browser.get("/?token=wrong")).status_code == 401
        async with connect(address, token="wrong") as system:
            with pytest.raises(CallError) as refused:
                await system.client(Operator).system()
    assert refused.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("by", ["link", "form"])
async def test_a_browser_signs_in_by_the_link_that_the_run_printed_or_by_the_form(tmp_path, by):
    async with observed(tmp_path, Part("stock")) as (_, address), httpx.AsyncClient(base_url=address) as browser:
        if by == "link":
            entered = await browser.get(SIGN_IN.link(address).replace("/?", "//evil.example/traces?service=stock&"))
            assert entered.headers["location"] == "/evil.example/traces?service=stock"
        else:
            entered = await browser.post("/sign-in", data={"token": SIGN_IN.token})
            assert entered.headers["location"] == "/"
        cookie = entered.headers["set-cookie"]
        assert (entered.status_code, "HttpOnly" in cookie, "SameSite=Strict" in cookie) == (303, True, True)
        page = await browser.get("/traces")
        told = await browser.post("/meristem.operator.v1.Operator/Processes", json={})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert told.status_code == 200


async def test_the_socket_of_this_user_asks_for_no_token(tmp_path):
    listen = f"unix:{tmp_path}/operator.sock"
    async with observed(tmp_path, Part("stock"), listen=listen), connect(listen) as system:
        assert (await system.client(Operator).system()).system == "shop"
