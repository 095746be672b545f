"""The short way of a forwarded request ends as the long one does, whatever the upstream and the client do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest

from meristem.context import Identity
from meristem.discovery.static import StaticResolver
from meristem.gateway.fast_forwarding import FastForwarding
from meristem.gateway.fast_mounts import FastMounts
from meristem.gateway.forwarder import Forwarder
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayRouteTable, GatewayTable, RateLimitTable
from meristem.gateway.policy.header_table import HeaderTable
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.gateway.request_head import ForeignHead
from meristem.gateway.traced import Traced
from meristem.gateway.upstream import Upstream
from meristem.hosting.asgi.forwarded import Forwarded
from meristem.hosting.asgi.mounts import Mounts
from meristem.runtime.telemetry import ProcessTelemetry
from meristem.security.forwarding import TrustedProxies
from meristem.system.placement_tables import Telemetry
from meristem.transports.http.edge_policy import Admitted, EdgePolicy, Pending
from meristem.transports.http.fast_path import FastPath
from meristem.transports.http.request import Request
from meristem.transports.http.server.http_server import HttpServer

PATIENCE: Final = 60.0
DATE: Final = b"date: Sun, 01 Jan 2040 00:00:00 GMT\r\n"
PLAIN: Final = b"HTTP/1.1 200 OK\r\n" + DATE + b"content-length: 2\r\n\r\nok"
GET: Final = b"GET /a?b=c HTTP/1.1\r\nhost: site.example\r\nx-own: 1\r\n\r\n"
OF_THE_TIME: Final = re.compile(rb"(traceparent: 00-)[0-9a-f-]+|(date: )[^\r]+|(host: 127.0.0.1:)[0-9]+")
Answer = list[bytes | float | None]
"""What an upstream sends: pieces, seconds between them, None for the end of the connection."""


class Site:
    """An upstream that plays `answer` to each request, and an edge before it whose bytes the test speaks itself."""

    def __init__(self, answer: Answer, *, is_fast: bool, policy: EdgePolicy | None, proxies: tuple[str, ...]) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.left = 0
        self._is_fast = is_fast
        self._policy = policy
        self._proxies = TrustedProxies(proxies)

    async def __aenter__(self) -> Site:
        self._program = await asyncio.start_server(self._play, "127.0.0.1", 0)
        port = self._program.sockets[0].getsockname()[1]
        self.upstream = Upstream("web", StaticResolver({"web": [f"tcp://127.0.0.1:{port}"]}), tells=False, patience=0.2)
        heads, figures = ForeignHead("/"), ProcessTelemetry({}, {}, Telemetry(traces_per_second=0.0)).requests("web")
        self.fast = FastForwarding(self.upstream, heads, figures, is_told=True)
        app = Forwarded(Mounts({"/": Traced(Forwarder(self.upstream, heads), figures, is_told=True)}), self._proxies)
        fast = FastMounts({"/": self.fast}, self._proxies) if self._is_fast else None
        self.server = HttpServer({}, app, fast=fast, policy=self._policy)
        await self.upstream.start()
        await self.server.start("tcp://127.0.0.1:0", public=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        await self.upstream.stop()
        self._program.close()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                for each in self.answer:
                    if isinstance(each, float):
                        await asyncio.sleep(each)
                    elif each is None:
                        return
                    else:
                        writer.write(each)
                        await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.left += 1
        finally:
            writer.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        host, _, port = self.server.addresses[0].removeprefix("tcp://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.close()

    async def asked(self, request: bytes, times: int) -> list[bytes]:
        """What comes for a request that is sent so often on one connection, each time when it was answered."""
        found = []
        async with self.client() as (reader, writer):
            for _ in range(times):
                writer.write(request)
                found.append(await _answer(reader, request[: request.index(b" ")]))
                if not found[-1]:
                    break
        return [OF_THE_TIME.sub(rb"\1\2\3", each) for each in found]


def _lines(head: bytes) -> tuple[bytes, ...]:
    """The request line, and the fields in no order."""
    first, *fields = OF_THE_TIME.sub(rb"\1\2\3", head).split(b"\r\n")
    return first, *sorted(fields)


async def _answer(reader: asyncio.StreamReader, method: bytes = b"GET") -> bytes:
    """The bytes of one answer, or of as much as comes of it before the end of the connection."""
    try:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            if status < 200:
                return head + await _answer(reader, method)
            if method == b"HEAD" or status in (204, 304):
                return head
            if (length := re.search(rb"content-length: (\d+)", head)) is not None:
                return head + await reader.readexactly(int(length[1]))
            return head + await (reader.readuntil(b"0\r\n\r\n") if b"chunked" in head else reader.read())
    except asyncio.IncompleteReadError as error:
        return error.partial


@pytest.fixture
def site() -> Callable[..., Site]:
    def made(
        *answer: bytes | float | None,
        is_fast: bool = True,
        policy: EdgePolicy | None = None,
        proxies: tuple[str, ...] = (),
    ) -> Site:
        return Site([*answer], is_fast=is_fast, policy=policy, proxies=proxies)

    return made


LONG: Final = b"x" * 200_000
ANSWERS: Final[dict[str, Answer]] = {
    "plain": [PLAIN],
    "head and body apart": [PLAIN[:-2], 0.02, b"ok"],
    "cut in the head": [PLAIN[:20], 0.02, PLAIN[20:]],
    "cut in the body": [PLAIN[:-1], 0.02, b"k"],
    "no date": [PLAIN.replace(DATE, b"")],
    "no content": [b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n"],
    "not modified": [b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\n' + DATE + b"\r\n"],
    "not modified, with a length": [b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n" + DATE + b"\r\n"],
    "redirect": [PLAIN.replace(b"200 OK", b"302 Found").replace(DATE, DATE + b"location: /x\r\n")],
    "two cookies": [PLAIN.replace(DATE, DATE + b"Set-Cookie: a=1\r\nset-cookie: b=2\r\n")],
    "chunks": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + DATE + b"\r\n2\r\nok\r\n0\r\n\r\n"],
    "until the end": [b"HTTP/1.1 200 OK\r\n" + DATE + b"\r\nok", None],
    "closes behind it": [PLAIN.replace(DATE, DATE + b"connection: close\r\n"), None],
    "closes unasked": [PLAIN, 0.05, None],
    "hints first": [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + PLAIN],
    "continue first": [b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, PLAIN],
    "more than it says": [PLAIN + b"more"],
    "less than it says": [PLAIN[:-1], 0.02, None],
    "nothing": [None],
    "nonsense": [b"SSH-2.0-x\r\n\r\n"],
    "two lengths": [PLAIN.replace(DATE, DATE + b"content-length: 3\r\n")],
    "of the hop": [PLAIN.replace(DATE, DATE + b"connection: x-gone\r\nx-gone: 1\r\nkeep-alive: timeout=5\r\n")],
    "failure": [PLAIN.replace(b"200 OK", b"500 Internal Server Error")],
    "long": [b"HTTP/1.1 200 OK\r\n" + DATE + b"content-length: 200000\r\n\r\n" + LONG],
    "1.0": [PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), None],
    "a field that is none": [PLAIN.replace(DATE, DATE + b"x: a\x01b\r\n")],
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_reaches_the_client_as_by_the_long_way(site: Callable[..., Site], name: str):
    answers, heads = [], []
    for is_fast in (False, True):
        async with site(*ANSWERS[name], is_fast=is_fast) as there:
            answers.append(await there.asked(GET, 3))
            heads.append({_lines(each) for each in there.heads})
    assert answers[0] == answers[1]
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    "request_",
    [
        b"HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /a%2fb/../c HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://y.example/a HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: x-own, host\r\nx-own: 1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 10.1.1.1\r\nx_forwarded_for: 10.1.1.2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 10.1.1.1\r\nforwarded: for=10.9.9.9\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nmeristem-app: web\r\nmeristem-token: t\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nbaggage: a=b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n",
    ],
)
@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)])
async def test_every_request_reaches_the_upstream_as_by_the_long_way(
    site: Callable[..., Site], request_: bytes, proxies: tuple[str, ...]
):
    seen = []
    for is_fast in (False, True):
        async with site(PLAIN, is_fast=is_fast, proxies=proxies) as there:
            answers = await there.asked(request_, 2)
            seen.append((answers, [_lines(each) for each in there.heads]))
    assert seen[0] == seen[1]


async def test_the_short_way_is_taken_and_each_request_has_a_trace_of_its_own(site: Callable[..., Site]):
    async with site(PLAIN) as there:
        assert len(await there.asked(GET, 4)) == 4
        assert len(there.fast._answers) == 1
        traces = {re.search(rb"traceparent: 00-([0-9a-f]{32})", head)[1] for head in there.heads}  # type: ignore[index]
    assert len(traces) == 4


async def test_the_short_way_finds_the_mount_that_the_long_one_finds():
    """At the mount itself, without a slash, `Mounts` redirects: the app around it is not asked."""
    way = cast("FastPath", Anybody())
    mounts = FastMounts({"/": way, "/office": way, "/local": None}, TrustedProxies(()))
    found = {
        path: mounts.prepare(Request("GET", path.encode(), b"", "1.1", [], {}, b""), dict, None)
        for path in ("/", "/x", "/office", "/office/", "/officer", "/local", "/local/x")
    }
    assert [path for path, each in found.items() if each is not None] == ["/", "/x", "/office/", "/officer"]


class Anybody:
    """A short way that takes every request."""

    def prepare(self, request: Request, scope: Any, before: Any) -> Any:
        return self


async def test_requests_that_come_at_once_are_answered_in_their_order(site: Callable[..., Site]):
    async with site(PLAIN) as there, there.client() as (reader, writer):
        writer.write(GET * 50)
        data = b""
        async with asyncio.timeout(PATIENCE):
            while data.count(b"HTTP/1.1 200 OK") < 50:
                data += await reader.read(1 << 16)
        assert data.count(b"\r\n\r\nok") == 50


async def test_a_client_that_leaves_is_told_to_the_upstream_and_its_connection_is_not_used_again(
    site: Callable[..., Site],
):
    async with site(PLAIN) as there:
        await there.asked(GET, 1)  # a connection is open
        there.answer = [30.0, PLAIN]
        async with there.client() as (_, writer):
            writer.write(GET)
            await asyncio.sleep(0.1)
        there.answer = [PLAIN]
        assert (await there.asked(GET, 1))[0].endswith(b"ok")
        [replica] = there.upstream.replicas
        assert replica.in_flight == 0


async def test_an_answer_under_way_is_finished_by_a_drain_and_says_that_it_is_the_last(site: Callable[..., Site]):
    async with site(PLAIN) as there:
        await there.asked(GET, 1)
        there.answer = [0.3, PLAIN]
        async with there.client() as (reader, writer):
            writer.write(GET)
            await asyncio.sleep(0.1)
            draining = asyncio.create_task(there.server.drain())
            data = await _answer(reader)
            assert b"connection: close\r\n" in data
            assert data.endswith(b"ok")
        await draining


async def test_a_policy_decides_about_repeated_requests_and_adds_its_fields(site: Callable[..., Site]):
    limit = RateLimitTable("1/min", burst=2)
    policy = Gatekeeper(GatewayTable({"few": limit}, {"all": GatewayRouteTable(limits=("few",))}))
    async with site(PLAIN, policy=policy) as there:
        answers = await there.asked(GET, 4)
    assert [each[9:12] for each in answers] == [b"200", b"200", b"200", b"429"]
    assert all(b'ratelimit-policy: "few"' in each for each in answers)
    assert policy.refusals.answers["all"].statuses == {200: 3}, "what was let in is counted by its answers, each once"


async def test_what_an_old_table_has_made_of_a_request_is_forgotten_with_it(site: Callable[..., Site]):
    """Of a client that sends the same bytes on its connection, what is added, removed and bounded is what holds now."""

    def changed(timeout: str | None = None, **said: Any) -> GatewayTable:
        return GatewayTable(request_headers=HeaderTable(**said), routes={"all": GatewayRouteTable(timeout=timeout)})

    policy = PolicyInForce(Gatekeeper(changed()))
    tables = (
        changed("20s", set={"x-edge": "one"}, remove=("x-debug",)),
        changed("30s", set={"x-edge": "two"}),
        changed(),
    )
    async with site(PLAIN, policy=policy) as there, there.client() as (reader, writer):
        for each in (policy.gatekeeper, *(Gatekeeper(table) for table in tables)):
            policy.gatekeeper = each
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-debug: 1\r\n\r\n")
                await _answer(reader)
    found = [re.findall(rb"\r\n(?:x-edge|x-debug|connect-timeout-ms): ([^\r]+)", each) for each in there.heads]
    assert [sorted(each) for each in found] == [
        *[[b"1"]] * 2, *[[b"20000", b"one"]] * 2, *[[b"1", b"30000", b"two"]] * 2, *[[b"1"]] * 2,
    ]  # fmt: skip


class Broken(list[Any]):
    """The answers of an upstream that breaks off so many of them in their head, and gives the next ones whole."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def __iter__(self) -> Iterator[Any]:
        self._left -= 1
        return iter([b"HTTP/1.1 200 OK\r\ncontent-le", None] if self._left >= 0 else [PLAIN])


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize(
    ("method", "retries", "broken", "status", "sent"),
    [("GET", 2, 2, b"200", 3), ("GET", 5, 4, b"200", 5), ("GET", 2, 3, b"502", 3), ("GET", 0, 1, b"502", 1),
     ("POST", 5, 1, b"502", 1), ("DELETE", 5, 1, b"502", 1)],
)  # fmt: skip
async def test_what_changes_nothing_is_sent_again_as_often_as_its_route_says(
    site: Callable[..., Site], is_fast: bool, method: str, retries: int, broken: int, status: bytes, sent: int
):
    policy = Gatekeeper(GatewayTable(routes={"all": GatewayRouteTable(retries=retries)}))
    async with site(is_fast=is_fast, policy=policy) as there:
        there.answer = Broken(broken)
        body = "content-length: 1\r\n\r\na" if method == "POST" else "\r\n"
        (answer,) = await there.asked(f"{method} / HTTP/1.1\r\nhost: x\r\n{body}".encode(), 1)
        assert answer[9:12] == status
        assert len(there.heads) == sent


async def test_half_of_an_answer_in_flight_survives_garbage_from_the_client(site: Callable[..., Site]):
    """What comes behind a request waits for its answer, and is read as the next one."""
    async with site(PLAIN) as there:
        await there.asked(GET, 1)
        there.answer = [0.2, PLAIN]
        async with there.client() as (reader, writer):
            writer.write(GET)
            await asyncio.sleep(0.05)
            writer.write(b"\x00\x01 no request\r\n\r\n")
            data = await _answer(reader) + await _answer(reader)
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 400 Bad Request" in data


class Rewriting:
    """A policy that has a spelling of its own for each path, and takes its time over all but the first request."""

    version: object = None

    def __init__(self) -> None:
        self.asked = 0

    def check(self, request: Request) -> Any:
        request.path = b"/canonical"
        request.user = Identity("42")
        self.asked += 1
        return Pending(self.later(), lambda: None) if self.asked > 1 else Admitted()

    async def later(self) -> Admitted:
        await asyncio.sleep(0.01)
        return Admitted()


async def test_what_a_policy_finds_out_of_a_repeated_request_holds_while_its_verdict_is_awaited(
    site: Callable[..., Site],
):
    policy = Rewriting()
    async with site(PLAIN, policy=policy) as there:
        assert len(await there.asked(GET, 4)) == 4
    assert policy.asked == 4
    assert [each.split(b"\r\n")[0] for each in there.heads] == [b"GET /canonical?b=c HTTP/1.1"] * 4
    assert all(b"\r\nx-meristem-user: 42\r\n" in each for each in there.heads)


class Alternating:
    """A policy that finds another user each time, and every third time nobody."""

    version: object = None

    def __init__(self) -> None:
        self.users = [Identity("ada"), Identity("bob"), None]
        self.asked = 0

    def check(self, request: Request) -> Any:
        request.user = self.users[self.asked % 3]
        self.asked += 1
        return Admitted()


async def test_a_repeated_request_goes_for_whom_it_is_each_time(site: Callable[..., Site]):
    async with site(PLAIN, policy=Alternating()) as there:
        assert len(await there.asked(GET, 6)) == 6
    told = [re.findall(rb"x-meristem-user: (\w+)", each) for each in there.heads]
    assert told == [[b"ada"], [b"bob"], []] * 2


async def test_what_requests_of_a_connection_say_alike_is_not_mixed_up_where_they_differ(site: Callable[..., Site]):
    requests = [
        b"GET /a HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n",
        b"GET /b?c HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n",
        b"GET /b?c HTTP/1.1\r\nhost: x\r\nx-own: 2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: y\r\nx-own: 2\r\nx-forwarded-for: 10.1.1.1\r\n\r\n",
        b"GET /c HTTP/1.1\r\nhost: y\r\nx-own: 2\r\nx-forwarded-for: 10.1.1.1\r\n\r\n",
        b"GET /c HTTP/1.1\r\nhost: y\r\nx-own: 2\r\nx-forwarded-for: 10.1.1.2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n",
    ]
    seen = []
    for is_fast in (False, True):
        async with site(PLAIN, is_fast=is_fast, proxies=("127.0.0.1",)) as there:
            await there.asked(GET, 1)
            async with there.client() as (reader, writer):
                for each in requests:
                    writer.write(each)
                    assert (await _answer(reader)).endswith(b"ok")
            seen.append([_lines(each) for each in there.heads])
    assert seen[0] == seen[1]
