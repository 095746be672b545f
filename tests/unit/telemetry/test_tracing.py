"""Traces: what is sampled, how calls hang together, and what is recorded after the fact."""

import asyncio
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from meristem.context import Context, Identity, Trace, using
from meristem.contracts.call import Call, Handler
from meristem.contracts.travelling import Travelling
from meristem.errors import CallError, Code, Fault
from meristem.telemetry.exporting import exporter
from meristem.telemetry.metrics import OperationStats
from meristem.telemetry.observing import observing_middleware
from meristem.telemetry.sampling import Allowance
from meristem.telemetry.tracer import Recent, Tracer
from tests.suites.operations import an_operation


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class CardDeclined(Fault):
    reason: str


def a_call(trace: Trace | None = None) -> Call:
    return Call(an_operation(), None, Context(trace=trace))


async def answers(_: Call) -> str:
    return "done"


def failing(error: BaseException) -> Handler:
    async def fails(_: Call) -> None:
        raise error

    return fails


def traced(tracer: Tracer, handler: Handler = answers) -> Handler:
    """A call as it is in one process: the client's side around the server's."""
    return calling(tracer, serving(tracer, handler))


def serving(tracer: Tracer, handler: Handler, *, stream: bool = False) -> Handler:
    stats = OperationStats("server", "payments", "Bank.debit")
    return observing_middleware(stats, tracer, an_operation(stream=stream))(handler)


def calling(tracer: Tracer, handler: Handler) -> Handler:
    return observing_middleware(OperationStats("client", "web", "Bank.debit"), tracer, an_operation())(handler)


@pytest.fixture
def recent():
    return Recent()


@pytest.fixture
def tracer(recent):
    return Tracer(recent)


@pytest.fixture
def silent(recent):
    """A tracer that samples nothing by itself."""
    return Tracer(recent, per_second=0)


async def test_a_call_without_a_trace_begins_one(tracer, recent):
    assert await traced(tracer)(a_call()) == "done"
    server, client = recent.spans()
    assert (client.kind, client.service, client.parent_id) == ("client", "web", None)
    assert (server.kind, server.service, server.parent_id) == ("server", "payments", client.span_id)
    assert server.trace_id == client.trace_id
    assert client.name == "shop.bank.v1.Bank/debit"
    assert client.attributes == {
        "rpc.system.name": "meristem",
        "rpc.method": "shop.bank.v1.Bank/debit",
        "rpc.response.status_code": "OK",
    }


async def test_the_servers_span_says_for_whom_the_call_was_made(tracer, recent):
    call = a_call()
    call.context.user = Identity("user-7", "Ann", ("guest",))
    await traced(tracer)(call)
    server, client = recent.spans()
    assert server.attributes["user.id"] == "user-7"
    assert "user.id" not in client.attributes


async def test_the_callers_decision_is_followed_in_both_ways(recent, tracer, silent):
    sampled, unsampled = Trace.start(sampled=True), Trace.start(sampled=False)
    await traced(silent)(a_call(sampled))
    await traced(tracer)(a_call(unsampled))
    assert {span.trace_id for span in recent.spans()} == {sampled.trace_id}
    assert recent.trace(sampled.trace_id)[0].parent_id == sampled.span_id


async def test_the_method_runs_in_the_servers_span(tracer, recent):
    seen = []

    async def handler(call: Call) -> None:
        seen.append(call.context.trace.span_id)

    await traced(tracer, handler)(a_call())
    assert seen == [span.span_id for span in recent.spans() if span.kind == "server"]


async def test_an_unsampled_call_still_has_a_trace_id_for_its_logs_and_records_nothing(silent, recent):
    call = a_call()
    await traced(silent)(call)
    assert call.context.trace is not None
    assert not call.context.trace.sampled
    assert recent.spans() == []


@pytest.mark.parametrize("error", [CallError(Code.UNAVAILABLE, "down"), ValueError("bug")])
async def test_a_failure_is_recorded_though_it_was_not_sampled(silent, recent, error):
    with pytest.raises(type(error)):
        await traced(silent, failing(error))(a_call())
    server, client = recent.spans()
    assert (client.parent_id, server.parent_id) == (None, client.span_id)
    assert client.error == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", [CardDeclined(reason="empty"), CallError(Code.NOT_FOUND, "no such booking")])
async def test_an_answer_that_the_caller_has_to_deal_with_is_no_failure(silent, tracer, recent, error):
    with pytest.raises(type(error)):
        await traced(silent, failing(error))(a_call())
    assert recent.spans() == []
    with pytest.raises(type(error)):
        await traced(tracer, failing(error))(a_call())
    assert {span.error for span in recent.spans()} == {None}
    assert {span.attributes["rpc.response.status_code"] for span in recent.spans()} == {error.code.name}


async def test_a_slow_call_is_recorded_with_its_whole_duration(recent):
    async def dawdles(_: Call) -> None:
        await asyncio.sleep(0.03)

    await traced(Tracer(recent, per_second=0, slow=0.02), dawdles)(a_call())
    assert len(recent.spans()) == 2
    assert all(span.duration >= 0.02 for span in recent.spans())
    client = recent.spans()[1]
    server = recent.spans()[0]
    assert client.duration >= server.duration


async def test_an_outage_does_not_drown_in_its_own_spans(recent):
    tracer = Tracer(recent, per_second=0, late_per_second=10, clock=Time())
    handler = calling(tracer, failing(ValueError("bug")))
    for _ in range(1000):
        with pytest.raises(ValueError, match="bug"):
            await handler(a_call())
    assert len(recent.spans()) == 10


async def test_a_cancelled_call_ends_its_span(tracer, recent):
    with pytest.raises(asyncio.CancelledError):
        await traced(tracer, failing(asyncio.CancelledError()))(a_call())
    assert {span.attributes["rpc.response.status_code"] for span in recent.spans()} == {"CANCELED"}


def test_every_trace_is_sampled_at_human_speed_and_a_bounded_number_under_load(recent):
    time = Time()
    tracer = Tracer(recent, per_second=10, clock=time)
    for _ in range(50):
        time.now += 0.2
        assert tracer.enter(None, time.now).sampled
    sampled = 0
    for _ in range(10_000):
        time.now += 0.001
        sampled += tracer.enter(None, time.now).sampled
    assert 100 <= sampled <= 111


def test_a_stranger_cannot_have_everything_sampled(recent):
    tracer = Tracer(recent, per_second=5, clock=Time())
    wish = msgspec.structs.replace(Trace.start(sampled=True), foreign=True)
    answers = [tracer.enter(wish, 100.0) for _ in range(100)]
    assert sum(trace.sampled for trace in answers) == 5
    assert {trace.trace_id for trace in answers} == {wish.trace_id}


def test_an_allowance_never_saves_up_more_than_a_second():
    allowance = Allowance(5, 100.0)
    assert sum(allowance.take(3700.0) for _ in range(100)) == 5
    assert sum(Allowance(0, 100.0).take(3700.0) for _ in range(10)) == 0


async def test_all_that_an_unsampled_call_tells_of_itself_has_one_id(silent, recent):
    """Whoever asks first, and from whichever thread: its logs, what it calls, its headers, its error's span."""
    told = []

    async def inner(call: Call) -> None:
        told.append(call.context.trace.header())
        told.extend(await asyncio.gather(*(asyncio.to_thread(call.context.trace.header) for _ in range(8))))
        raise ValueError("bug")

    async def outer(call: Call) -> None:
        below = Context(trace=call.context.trace)
        with pytest.raises(ValueError, match="bug"):
            await serving(silent, inner)(Call(an_operation(), None, below))
        told.append(call.context.trace.header())
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await calling(silent, outer)(a_call())
    below, root = recent.spans()
    assert set(told) == {f"00-{root.trace_id}-{root.span_id}-00"}
    assert (below.trace_id, below.parent_id, root.parent_id) == (root.trace_id, root.span_id, None)
    assert below.span_id != root.span_id


async def test_a_strangers_wish_is_decided_upon_once_for_all_that_follows(recent):
    tracer = Tracer(recent, per_second=1, clock=Time())
    wish = msgspec.structs.replace(Trace.start(sampled=True), foreign=True)
    assert tracer.enter(None, 100.0).sampled  # the allowance is used up
    call = a_call(wish)
    await serving(tracer, answers)(call)
    assert (call.context.trace.trace_id, call.context.trace.sampled) == (wish.trace_id, False)
    assert call.context.trace.span_id != wish.span_id
    assert not call.context.trace.foreign


def test_a_fact_is_a_child_of_the_running_span(tracer, recent):
    parent = Trace.start(sampled=True)
    with using(Context(trace=parent)):
        tracer.fact("SELECT", "client", "documents", 0.5, {"db.system.name": "sqlite"})
    (fact,) = recent.spans()
    assert (fact.parent_id, fact.service, fact.attributes) == (
        parent.span_id,
        "documents",
        {"db.system.name": "sqlite"},
    )
    assert fact.duration == pytest.approx(0.5, abs=0.01)


def test_facts_tell_the_values_that_travel(tracer, recent):
    locale = Travelling[str]("tracing.locale")
    with using(Context(trace=Trace.start(sampled=True))), locale.using("de"):
        tracer.fact("SELECT", "client", "documents", 0.5, {"db.system.name": "sqlite"})
    (fact,) = recent.spans()
    assert fact.attributes == {"db.system.name": "sqlite", "meristem.value.tracing.locale": "de"}


def test_facts_outside_of_a_sampled_trace_cost_nothing(tracer, recent):
    for context in (Context(), Context(trace=Trace.start())):
        with using(context):
            tracer.fact("SELECT", "client", "rooms", 0.1, {})
    assert recent.spans() == []


async def test_a_stream_is_one_span_that_ends_with_its_last_item(tracer, recent):
    async def handler(_: Call):
        async def items():
            yield 1
            yield 2

        return items()

    stream = await serving(tracer, handler, stream=True)(a_call())
    assert await anext(stream) == 1
    assert recent.spans() == []
    assert [item async for item in stream] == [2]
    assert len(recent.spans()) == 1


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported():
    program = (
        "import sys, meristem.telemetry.observing, meristem.telemetry.metrics\n"
        "from meristem.telemetry.exporting import exporter\n"
        "assert exporter({}) is None\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus_client'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.fixture
def collector():
    """A collector that keeps the requests it gets."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds: a connection that says nothing must not keep the server from its end

        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join(30)
    server.server_close()


async def test_spans_reach_an_otlp_collector(collector, monkeypatch):
    address, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    sink = exporter({"OTEL_EXPORTER_OTLP_ENDPOINT": address}, {"service.namespace": "shop"})
    assert sink is not None
    recent = Recent()
    with pytest.raises(CallError):
        await traced(Tracer(recent, sink), failing(CallError(Code.UNAVAILABLE, "down")))(a_call())
    sink.stop()
    request = ExportTraceServiceRequest()
    for _, body in received:
        request.MergeFromString(body)
    spans = {
        next(a.value.string_value for a in group.resource.attributes if a.key == "service.name"): span
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    }
    assert {path for path, _ in received} == {"/v1/traces"}
    server, client = recent.spans()
    assert spans["payments"].parent_span_id.hex() == client.span_id == spans["web"].span_id.hex()
    assert spans["payments"].trace_id.hex() == server.trace_id
    assert spans["web"].status.message == "CallError: [unavailable] down"
    assert (spans["web"].kind, spans["payments"].kind) == (3, 2)
    assert spans["web"].end_time_unix_nano >= spans["web"].start_time_unix_nano == client.start
