"""What a caller from outside is told of a failure, by REST, RPC and streams, in one process and behind another one."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import httpx
import pytest
from msgspec import Meta
from sqlalchemy import text

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    FieldViolation,
    Flow,
    Identity,
    SagaParked,
    Service,
    System,
    idempotent,
    once,
    operation,
    safe,
    saga,
)
from meristem.discovery.static import StaticResolver
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.sagas.administration import SagaStore
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, REST, Placement
from meristem.system.placement_tables import Supervision

SECRET = "s3cret@10.0.0.9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEAD = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}


class Jammed(Fault, code=Code.ABORTED):
    """The lock is jammed."""

    where: str


class Turned(Event, package="tests.outside.v1", key="which"):
    which: str


class Vault(Contract, Protocol, package="tests.outside.v1"):
    """What stands below."""

    @idempotent(raises=[Jammed])
    async def open(self, code: str) -> str: ...

    @safe
    async def count(self, nights: Annotated[int, Meta(ge=1)]) -> int: ...

    @safe(timeout=0.2)
    async def slow(self) -> str: ...

    @safe
    def coins(self, code: str) -> AsyncIterator[int]: ...


class Desk(Contract, Protocol, package="tests.outside.v1"):
    """What the public reaches."""

    @safe(http="GET /own")
    async def own(self) -> str: ...

    @safe(http="GET /crash")
    async def crash(self) -> str: ...

    @safe(http="GET /below/{how}")
    async def below(self, how: str) -> str: ...

    @safe(http="GET /two/{how}")
    async def two_below(self, how: str) -> str: ...

    @safe(http="GET /caught")
    async def caught(self) -> str: ...

    @once(http="POST /kept/{how}")
    async def kept(self, how: str) -> str: ...

    @once(http="POST /saga", timeout=20.0)
    async def by_saga(self, how: str) -> str: ...

    @safe(http="GET /stream/{how}")
    def listed(self, how: str) -> AsyncIterator[int]: ...

    @operation(http="POST /mine", authenticated=True)
    async def mine(self) -> str: ...


class Inner(Contract, Protocol, package="tests.outside.v1"):
    @safe
    async def below(self, how: str) -> str: ...


class VaultService(Vault, Service):
    async def open(self, code: str) -> str:
        if code == "crash":
            raise RuntimeError(f"no answer from {SECRET}")
        if code == "fault":
            raise Jammed(where=SECRET)
        wrong = FieldViolation(SECRET, f"{SECRET} is wrong")
        raise CallError(
            Code(code), f"account {SECRET} is blocked", violations=(wrong,), retry_after=7.0, may_have_happened=False
        )

    async def count(self, nights: int) -> int:
        return nights

    async def slow(self) -> str:
        await asyncio.sleep(60)
        return "late"

    async def coins(self, code: str) -> AsyncIterator[int]:
        yield 1
        await self.open(code)


class InnerService(Inner, Service):
    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    async def below(self, how: str) -> str:
        return await self.vault.open(how)


class DeskService(Desk, Service):
    def __init__(self, vault: Vault, inner: Inner, database: Database) -> None:
        self.vault = vault
        self.inner = inner
        self.database = database

    async def own(self) -> str:
        wrong = FieldViolation("hours", "are over")
        raise CallError(Code.INVALID_ARGUMENT, "the desk is closed", violations=(wrong,), retry_after=3.0)

    async def crash(self) -> str:
        raise RuntimeError(f"no answer from {SECRET}")

    async def below(self, how: str) -> str:
        if how == "invalid":
            return str(await self.vault.count(-1))
        if how == "late":
            return await self.vault.slow()
        if how == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(self.vault.open("not_found"))
        return await self.vault.open(how)

    async def two_below(self, how: str) -> str:
        return await self.inner.below(how)

    async def kept(self, how: str) -> str:
        return await self.vault.open(how)

    async def caught(self) -> str:
        try:
            return await self.vault.open("not_found")
        except CallError as error:
            raise CallError(Code.NOT_FOUND, "there is no such account", may_have_happened=False) from error

    async def listed(self, how: str) -> AsyncIterator[int]:
        yield 1
        if how == "own":
            raise CallError(Code.ABORTED, "the list was changed")
        if how == "crash":
            raise RuntimeError(SECRET)
        async for coin in self.vault.coins(how):
            yield coin

    async def mine(self) -> str:
        return "mine"

    @saga(waits=[Turned], patience=0.01)
    async def by_saga(self, flow: Flow, how: str) -> str:
        if how == "function":
            raise RuntimeError(SECRET)
        if how == "wait":
            return (await flow.wait_for(Turned, key=SECRET, timeout=0.01)).which
        steps = {
            "step": self.break_down,
            "sql": self.ask_badly,
            "own step": self.refuse,
            "step of a call": self.call_on,
            "sub": self.sub,
        }
        if how == "parked":
            # of which nothing can be journaled
            await flow.with_undo(flow.step(self.note), partial(self.take_back, SECRET))
            raise RuntimeError(SECRET)
        if how in steps:
            return await flow.step(steps[how])
        return await self.vault.open(how)

    @saga
    async def sub(self, flow: Flow) -> str:
        return await flow.step(self.break_down)

    async def note(self) -> int:
        return 1

    async def take_back(self, secret: str, note: int) -> None: ...

    async def break_down(self) -> str:
        raise RuntimeError(f"no answer from {SECRET}")

    async def ask_badly(self) -> str:
        await self.database.execute(text(f"select '{SECRET}' from nowhere"))
        return "asked"

    async def refuse(self) -> str:
        raise CallError(Code.FAILED_PRECONDITION, "the desk is closed")

    async def call_on(self) -> str:
        return await self.vault.open("failed_precondition")


async def authenticate(token: str) -> Identity | None:
    """Asks a service, as one that looks tokens up does."""
    if token == "crash":
        raise RuntimeError(SECRET)
    await Vault.client().open("unavailable")
    return None


SYSTEM = System("outside", services=[VaultService, InnerService, DeskService], authenticate=authenticate)


class Outside(NamedTuple):
    browser: httpx.AsyncClient
    inside: Process
    """The process of the services."""


@pytest.fixture(params=["one process", "behind another"])
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """`async with outside() as (browser, …)`: the public's way to the system."""

    @asynccontextmanager
    async def serve() -> AsyncIterator[Outside]:
        tokens, public = Tokens(new_secret()), [Listen("tcp://127.0.0.1:0", public=True)]
        options: dict[str, Any] = {"environment": {}, "database": "sqlite://", "directory": tmp_path}
        async with AsyncExitStack() as stack:
            if request.param == "one process":
                blueprint = Blueprint(SYSTEM)
                door = inside = Process(blueprint, ALONE, options=Options(**options), listen=public, tokens=tokens)
            else:
                processes = {"web": (REST,), "back": ("desk", "vault", "inner")}
                blueprint = Blueprint(SYSTEM, Placement(processes=processes, supervision=Supervision(away=0.3)))
                address = f"unix:{tmp_path}/back.sock"
                resolver = StaticResolver({each: [address] for each in ("desk", "vault", "inner", "back")})
                around = Options(**options, resolver=resolver, sign=tokens.prove)
                back = [Listen(address, public=False)]
                inside = Process(blueprint, "back", options=around, listen=back, tokens=tokens)
                door = Process(blueprint, "web", options=around, listen=public, tokens=tokens)
            for process in dict.fromkeys([inside, door]):
                await process.start()
                stack.push_async_callback(process.stop)
            base = door.addresses[0].replace("tcp://", "http://")
            browser = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=30, headers=HEAD))
            yield Outside(browser, inside)

    return serve


def is_withheld(body: str, caplog: pytest.LogCaptureFixture, *, logged: str = SECRET) -> bool:
    """Whether a body says a sentence and the trace id, and the log of that trace has the text."""
    assert SECRET not in body
    assert "/" + "back.sock" not in body
    records = [each for each in caplog.records if logged in caplog.handler.format(each)]
    return bool(records) and re.search(rf"failed; the log says why under trace {TRACE}", body) is not None


@pytest.mark.parametrize("how", ["not_found", "unavailable", "invalid_argument", "crash", "fault", "invalid", "group"])
@pytest.mark.parametrize("depth", ["below", "two"])
async def test_of_a_call_below_no_more_than_its_code_is_told(outside, caplog, how, depth):
    if depth == "two" and how in ("invalid", "group"):
        pytest.skip("said by one level")
    async with outside() as (browser, _):
        rest = await browser.get(f"/api/{depth}/{how}")
        name = "Below" if depth == "below" else "TwoBelow"
        called = await browser.post(f"/tests.outside.v1.Desk/{name}", json={"how": how})
        message = json.dumps({"how": how})
        asked = await browser.get(
            f"/tests.outside.v1.Desk/{name}", params={"connect": "v1", "encoding": "json", "message": message}
        )

    code = {"crash": "internal", "fault": "internal", "group": "internal", "invalid": "invalid_argument"}.get(how, how)
    for answer in (rest, called, asked):
        assert answer.json()["code"] == code
        assert is_withheld(answer.text, caplog, logged="nights" if how == "invalid" else SECRET)
        assert "errors" not in answer.json()
        assert "fieldViolations" not in answer.text
    if how == "unavailable":
        assert rest.headers["retry-after"] == "7"
        assert rest.json()["detail"].endswith(f"under trace {TRACE}. Try again")


async def test_after_a_failure_that_passes_a_caller_is_told_how_to_repeat_the_call(outside):
    """The call below did nothing, but the service may have, before it."""
    async with outside() as (browser, _):
        refused = await browser.post("/api/kept/not_found")
        failed = await browser.post("/api/kept/unavailable")

    assert refused.json()["detail"].endswith(f"under trace {TRACE}")
    assert ". It may have been done: try again under the same idempotency key" in failed.json()["detail"]


async def test_what_the_service_says_itself_is_shown(outside):
    async with outside() as (browser, _):
        own = await browser.get("/api/own")
        called = await browser.post("/tests.outside.v1.Desk/Own", json={})
        caught = await browser.get("/api/caught")

    assert (own.status_code, own.json()["detail"]) == (422, "the desk is closed")
    assert own.json()["errors"] == [{"field": "hours", "reason": "are over"}]
    assert own.headers["retry-after"] == "3"
    assert called.json()["message"] == "the desk is closed"
    assert (caught.status_code, caught.json()["detail"]) == (404, "there is no such account")


async def test_a_crash_is_told_by_its_trace(outside, caplog):
    async with outside() as (browser, _):
        rest = await browser.get("/api/crash")
        called = await browser.post("/tests.outside.v1.Desk/Crash", json={})

    assert is_withheld(rest.text, caplog)
    assert is_withheld(called.text, caplog)


async def test_a_caller_that_sends_no_trace_is_told_one(outside, caplog):
    async with outside() as (browser, _):
        browser.headers.pop("traceparent")
        found = await browser.get("/api/below/not_found")

    assert re.search(r"under trace [0-9a-f]{32}$", found.json()["detail"])


async def test_who_is_late_below_is_not_named(outside, caplog):
    caplog.set_level(logging.INFO)
    async with outside() as (browser, _):
        found = await browser.get("/api/below/late")

    assert found.json()["code"] == "deadline_exceeded"
    assert "Vault" not in found.text
    assert "Vault.slow did not answer" in caplog.text


@pytest.mark.parametrize(
    ("how", "code"),
    [("step", "internal"), ("function", "internal"), ("sql", "unknown"), ("wait", "deadline_exceeded"),
     ("step of a call", "failed_precondition"), ("not_found", "not_found"), ("sub", "internal"),
     ("unavailable", "unavailable")],
)  # fmt: skip
async def test_of_a_saga_that_fails_no_more_than_a_code_is_told(outside, caplog, how, code):
    async with outside() as (browser, _):
        rest = await browser.post("/api/saga", json={"how": how})
        called = await browser.post("/tests.outside.v1.Desk/BySaga", json={"how": how})

    for answer in (rest, called):
        assert answer.json()["code"] == code
        assert is_withheld(answer.text, caplog)


async def test_what_a_step_of_the_service_says_itself_is_shown(outside):
    async with outside() as (browser, _):
        found = await browser.post("/api/saga", json={"how": "own step"})

    assert (found.status_code, found.json()["detail"]) == (409, "the desk is closed")


async def test_a_parked_saga_is_told_with_its_id_and_without_its_problem(outside):
    async with outside() as (browser, inside):
        rest = await browser.post("/api/saga", json={"how": "parked"})
        called = await browser.post("/tests.outside.v1.Desk/BySaga", json={"how": "parked"})
        with pytest.raises(SagaParked) as caught:
            await inside.assembly.client(Desk).by_saga("parked")
        parked = await SagaStore(inside.assembly.instances["desk"].database).list()

    assert "take_back" in parked[0].problem
    told, ids = rest.json(), [each.id for each in parked]
    assert (rest.status_code, told["code"]) == (500, "internal")
    assert told["detail"].startswith(f"saga {told['saga_id']} is parked until a person looks at it")
    (detail,) = called.json()["details"]
    assert detail["type"] == "meristem.v1.SagaParked"
    assert ids == [caught.value.saga_id, detail["debug"]["sagaId"], told["saga_id"]]
    assert "take_back" not in f"{rest.text} {called.text} {caught.value}"


@pytest.mark.parametrize("how", ["not_found", "crash"])
async def test_a_stream_that_fails_tells_no_more_than_a_code(outside, caplog, how):
    body = b'{"how":"%b"}' % how.encode()
    enveloped = b"\x00" + len(body).to_bytes(4, "big") + body
    async with outside() as (browser, _):
        lines = await browser.get(f"/api/stream/{how}")
        events = await browser.get(f"/api/stream/{how}", headers={"accept": "text/event-stream"})
        called = await browser.post(
            "/tests.outside.v1.Desk/Listed", content=enveloped, headers={"content-type": "application/connect+json"}
        )
        own = await browser.get("/api/stream/own")

    code = "internal" if how == "crash" else how
    for answer in (lines, events, called):
        assert f'"code":"{code}"' in answer.text
        assert is_withheld(answer.text, caplog)
    assert "the list was changed" in own.text


@pytest.mark.parametrize("token", ["crash", "any"])
async def test_of_what_fails_while_somebody_signs_in_no_text_is_told(outside, caplog, token):
    async with outside() as (browser, _):
        found = await browser.post("/api/mine", json={}, headers={"authorization": f"Bearer {token}"})

    assert SECRET not in found.text
    assert SECRET in caplog.text
    assert re.search(r"under trace [0-9a-f]{32}", found.text)


async def test_where_services_live_is_not_told(outside, caplog):
    async with outside() as (browser, inside):
        if not inside.addresses[0].startswith("unix:"):
            pytest.skip("they live here")
        await inside.stop()
        rest = await browser.get("/api/own")
        called = await browser.post("/tests.outside.v1.Desk/Own", json={})

    for answer in (rest, called):
        assert answer.json()["code"] == "unavailable"
        assert is_withheld(answer.text, caplog, logged="back.sock")


async def test_a_caller_inside_gets_the_text(outside):
    async with outside() as (_, inside):
        with pytest.raises(CallError, match="is blocked") as caught:
            await inside.assembly.client(Desk).below("not_found")

    assert caught.value.private
