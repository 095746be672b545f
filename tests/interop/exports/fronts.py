"""What stands before a part of a system and holds its policy: the edge itself, and proxies that are exported to.

All of them have one part behind, which answers what it was asked, and one issuer of tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from meristem import Program
from meristem.asgi import respond
from meristem.contracts.contract import Contract
from meristem.contracts.operation import operation, safe
from meristem.gateway.export.exported_policy import ExportedPolicy, HostPort, matches_of
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.hosting.asgi.forwarded import Forwarded
from meristem.runtime.gateway_identity import authenticator
from meristem.runtime.options import Options
from meristem.security.forwarding import TrustedProxies
from meristem.services.service import Service
from meristem.system.addresses import edge
from meristem.system.blueprint import Blueprint
from meristem.system.gateway_parts import part_paths
from meristem.system.placement import Placement
from meristem.system.system import System
from meristem.transports.http.server.http_server import HttpServer
from tests.interop.exports.asked_request import CUT, Asked, Theme
from tests.interop.exports.credentials import SECRET, api_keys, key_set, tokens

PATIENCE = 30
SERVER = '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
ENVIRONMENT = {"SHOP_GATEWAY_MAIN_SECRET": SECRET}
BLOCKED = "# who is kept out\n203.0.113.0/24\n2001:db8:bad::/48  # all of it\n"


class Orders(Contract, Protocol, package="shop.v1"):
    @safe(http="GET /orders/latest")
    async def latest(self) -> str: ...

    @safe(http="GET /orders/{number}")
    async def read(self, number: str) -> str: ...

    @operation(http="POST /orders")
    async def place(self) -> str: ...


class OrderDesk(Service, Orders):
    async def latest(self) -> str:
        return ""

    async def read(self, number: str) -> str:
        return number

    async def place(self) -> str:
        return ""


SYSTEM = System("shop", services=[OrderDesk], programs=[Program("site", ["true"], mount="/")])


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers what it was asked, when it has come to its end."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    told = {"path": scope["raw_path"].decode(), "query": scope["query_string"].decode(), **fields}
    await respond(send, 200, b"application/json", json.dumps(told).encode(), [(b"x-powered-by", b"echo")])


async def issuer(_scope: Any, _receive: Any, send: Any) -> None:
    await respond(send, 200, b"application/json", key_set())


class Ground(NamedTuple):
    """What all fronts have in common: the policy, what is behind and the credentials."""

    folder: Path
    blueprint: Blueprint
    upstream: int
    credentials: Mapping[str, str]

    def policy(self, port: int) -> ExportedPolicy:
        """The policy as it is exported for a proxy at a port."""
        placed, plan = self.blueprint.placement, self.blueprint.plan
        assert placed.gateway is not None
        return ExportedPolicy(
            system=SYSTEM.name,
            table=placed.gateway,
            matches=matches_of(placed.gateway, part_paths(plan)),
            upstreams=(HostPort("127.0.0.1", self.upstream),),
            http=HostPort("127.0.0.1", port),
            trusted_proxies=placed.limits_of(edge(plan).name).trusted_proxies,
            keys_file=str(self.folder / "keys.json"),
        )


class Answered(NamedTuple):
    """An answer: of a connection that was cut, `CUT` alone."""

    status: int
    fields: Mapping[str, str]
    seen: Mapping[str, str]


class Front(NamedTuple):
    """A port at which a policy is held."""

    port: int
    ground: Ground

    async def ask(self, asked: Asked) -> Answered:
        """Send a request by a connection of its own."""
        fields = [(name, _filled(value, self.ground.credentials)) for name, value in asked.fields]
        named = [("host", asked.host), ("x-forwarded-for", asked.client), ("connection", "close"), *fields]
        body = asked.body
        if asked.chunked:
            named.append(("transfer-encoding", "chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif body:
            named.append(("content-length", str(len(body))))
        lines = [f"{asked.method} {asked.target} HTTP/1.1", *(f"{name}: {value}" for name, value in named), "", ""]
        return await exchange(self.port, "\r\n".join(lines).encode() + body)


async def exchange(port: int, request: bytes) -> Answered:
    """Send a request as it is and read until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):  # a refusal does not wait for the body
            writer.write(request)
            await writer.drain()
        answer = await asyncio.wait_for(_all_of(reader), PATIENCE)
    finally:
        writer.close()
    if not answer:
        return Answered(CUT, {}, {})
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        known = fields.get(name.lower())
        fields[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
    text = body[body.find(b"{") : body.rfind(b"}") + 1]  # whatever it is sent in
    seen = json.loads(text) if text and fields.get("content-type") == "application/json" else {}
    return Answered(int(first.split()[1]), fields, seen)


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            found += part
    return found


def _filled(text: str, credentials: Mapping[str, str]) -> str:
    for name, value in credentials.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def play(front: Front, theme: Theme) -> list[str]:
    """What of a theme came out otherwise than it is written, in words: each request, and all that is wrong about it."""
    wrong = []
    for number, asked in enumerate(theme.asked, 1):
        if asked.after:
            await asyncio.sleep(asked.after)
        answers = [await front.ask(asked) for _ in range(asked.times)]
        found = Counter(each.status for each in answers)
        wanted = {asked.status: asked.times} if isinstance(asked.status, int) else asked.status
        last = answers[-1]
        told = [f"{number}. {asked.method} {asked.target} {asked.host} {asked.client} {asked.fields}"[:150]]
        if found != wanted:
            told.append(f"status {dict(found)} for {dict(wanted)}")
        told += [
            f"{name}: {last.fields.get(name)!r} for {value!r}"
            for name, value in asked.answered.items()
            if last.fields.get(name) != value
        ]
        told += [
            f"seen {name}: {last.seen.get(name)!r} for {value!r}"
            for name, value in asked.seen.items()
            if last.seen.get(name) != value
        ]
        if len(told) > 1:
            wrong.append("; ".join(told))
    return wrong


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def ground(theme: Theme, folder: Path, *, behind: Any = None, keys: Any = None) -> AsyncIterator[Ground]:
    """The policy of a theme, with a part behind that answers everything and an issuer that tells its keys.

    They are apps; others can stand for them.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(served(echo if behind is None else behind))
        jwks = await stack.enter_async_context(served(issuer if keys is None else keys))
        (folder / "blocked.txt").write_text(BLOCKED)
        path = folder / "placement.toml"
        path.write_text(SERVER + theme.placement.replace("{jwks}", f"http://127.0.0.1:{jwks}/jwks"))
        blueprint = Blueprint(SYSTEM, Placement.read(path))
        yield Ground(folder, blueprint, upstream, {**tokens(), **api_keys(folder / "keys.json")})


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """The port of an app that is served without a policy."""
    server = HttpServer({}, app)
    await server.start("tcp://127.0.0.1:0", public=True)
    try:
        yield int(server.addresses[0].rpartition(":")[2])
    finally:
        await server.stop()


@asynccontextmanager
async def edge_front(known: Ground, now: Any = time.monotonic) -> AsyncIterator[Front]:
    """The edge of Python itself."""
    placed, plan = known.blueprint.placement, known.blueprint.plan
    assert placed.gateway is not None
    shares_secret = any(each.is_symmetric for each in placed.gateway.issuers.values())
    options = Options(directory=known.folder, environment=ENVIRONMENT if shares_secret else {})
    who = authenticator(placed.gateway, SYSTEM.name, options)
    gatekeeper = Gatekeeper(placed.gateway, now, part_paths(plan), who)
    limits = placed.limits_of(edge(plan).name)
    app = Forwarded(echo, TrustedProxies(limits.trusted_proxies))
    server = HttpServer({}, app, policy=gatekeeper, limits=limits)
    async with AsyncExitStack() as stack:
        if who is not None:
            await who.start()
            stack.push_async_callback(who.stop)
        await server.start("tcp://127.0.0.1:0", public=True)
        stack.push_async_callback(server.stop)
        yield Front(int(server.addresses[0].rpartition(":")[2]), known)


async def opened(port: int, running: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until a process listens at its port."""
    async with asyncio.timeout(PATIENCE):
        while True:
            assert running.returncode is None, log.read_text()  # noqa: ASYNC240 - a test waits
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


def written(files: Mapping[str, str], folder: Path) -> None:
    """Put the files of an export below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
