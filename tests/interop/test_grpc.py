"""gRPC beside stock parts: stubs that grpcio-tools makes, the client of reflection, probes of Kubernetes, grpc-js."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import code_pb2, status_pb2
from grpc import aio
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from meristem.context import Context
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import operations
from meristem.contracts.items import GivenItems
from meristem.transports.grpc.grpc_client import GrpcClient
from meristem.transports.grpc.grpc_server import GrpcServer
from tests.interop.conftest import Gone, Partner, Quotes, Served
from tests.interop.nodejs import installed
from tests.suites.importing import importable

PATIENCE = 60
TOKEN = [("meristem-token", "partner")]


class Stubs(NamedTuple):
    """What grpcio-tools makes of the contract's `.proto`."""

    messages: Any
    services: Any
    file: Path


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("stubs")
    file = folder / "interop_quotes.proto"
    file.write_text(Served().text)
    made = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", *made, file.name], cwd=folder, check=True)
    with importable(folder):
        modules = [importlib.import_module(name) for name in ("interop_quotes_pb2", "interop_quotes_pb2_grpc")]
        yield Stubs(*modules, file)


@pytest.fixture
async def spoken() -> AsyncIterator[Served]:
    """The service by gRPC at a public address."""
    known = Served()
    routes = {each.path: ServedOperation(each, getattr(known, name)) for name, each in known.operations.items()}
    server = GrpcServer(routes, verify=lambda token: Partner() if token == "partner" else None)
    await server.start("127.0.0.1:0", public=True, reflection=True)
    known.url = server.addresses[0]
    yield known
    await server.stop()


def quoted(stubs: Stubs, known: Served, **changes: Any) -> Any:
    """A quote as a class that was generated has it."""
    return stubs.messages.Quote.FromString(known.message(**changes).SerializeToString())


async def test_a_generated_stub_calls_all_four_kinds(spoken, stubs):
    async with aio.insecure_channel(spoken.url) as channel:
        stub, quote = stubs.services.QuotesStub(channel), quoted(stubs, spoken)

        reply = await stub.Echo(quote, timeout=PATIENCE)
        numbers = [each.result async for each in stub.Count(stubs.messages.QuotesCountRequest(until=5))]
        total = await stub.Total(iter([quote] * 3), metadata=TOKEN)
        words = [stubs.messages.QuotesChatRequest(words=each) for each in ("one", "two")]
        said = [each.result async for each in stub.Chat(iter(words), metadata=TOKEN)]

    assert reply == quote
    assert numbers == [0, 1, 2, 3, 4]
    assert total.result == 3 * 2**60
    assert len(said) == 2


async def test_a_fault_is_read_by_the_stock_package(spoken, stubs):
    async with aio.insecure_channel(spoken.url) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await stubs.services.QuotesStub(channel).Echo(quoted(stubs, spoken, city="Gone"), timeout=PATIENCE)
    status = await asyncio.to_thread(rpc_status.from_call, caught.value)

    fault = stubs.messages.Gone()
    assert (status.code, status.message) == (code_pb2.NOT_FOUND, "The quote is gone.")
    assert status.details[0].Unpack(fault)
    assert fault.hotel_id == 2**60


def servicer(stubs: Stubs) -> Any:
    """A server's side as people write it with grpcio-tools."""

    class Servicer(stubs.services.QuotesServicer):
        async def Echo(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.city == "Gone":
                status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="gone")
                status.details.add().Pack(stubs.messages.Gone(hotel_id=7))
                await context.abort_with_status(rpc_status.to_status(status))
            return request

        async def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
            for number in range(request.until):
                yield stubs.messages.QuotesCountReply(result=number)

        async def Total(self, requests: Any, context: Any) -> Any:  # noqa: N802
            return stubs.messages.QuotesTotalReply(result=sum([each.hotel_id async for each in requests]))

        async def Chat(self, requests: Any, context: Any) -> Any:  # noqa: N802
            async for each in requests:
                yield stubs.messages.QuotesChatReply(result=each.words.upper())

    return Servicer()


@pytest.fixture
async def calling(stubs: Stubs) -> AsyncIterator[Any]:
    """Makes calls by our client to a stock server."""
    known, server = operations(Quotes), aio.server()
    stubs.services.add_QuotesServicer_to_server(servicer(stubs), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = GrpcClient(f"grpc://127.0.0.1:{port}")

    async def given(values: tuple[Any, ...]) -> AsyncIterator[Any]:
        for each in values:
            yield each

    async def called(name: str, *values: Any) -> Any:
        operation = known[name]
        request = GivenItems(operation, given(values)) if operation.takes_stream else values[0]
        return await client.call(Call(operation, request, Context(time.monotonic() + PATIENCE)))

    yield called
    await client.stop()
    await server.stop(None)


async def test_our_client_calls_all_four_kinds_of_a_stock_server(calling):
    quote, until = Served().quote(), operations(Quotes)["count"].request(until=3)

    assert await calling("echo", quote) == quote
    assert [each async for each in await calling("count", until)] == [0, 1, 2]
    assert await calling("total", quote, quote) == 2**61
    assert [each async for each in await calling("chat", "a", "b")] == ["A", "B"]


async def test_a_fault_of_a_stock_server_is_the_contracts(calling):
    with pytest.raises(Gone) as caught:
        await calling("echo", Served().quote(city="Gone"))

    assert caught.value.hotel_id == 7


async def test_the_stock_client_of_reflection_finds_every_type(spoken):
    def described() -> Any:
        with grpc.insecure_channel(spoken.url) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            service = DescriptorPool(database).FindServiceByName("interop.quotes.v1.Quotes")
            methods = {each.name: (each.client_streaming, each.server_streaming) for each in service.methods}
            return list(database.get_services()), methods

    services, methods = await asyncio.to_thread(described)

    assert "interop.quotes.v1.Quotes" in services
    assert methods["Chat"] == (True, True)
    assert methods["Total"] == (True, False)


async def test_a_probe_of_kubernetes_is_answered(spoken):
    """It connects anew without TLS, says who it is and asks for the service "" or a named one, with a timeout."""
    agent = [("grpc.primary_user_agent", "kube-probe/1.34")]
    async with aio.insecure_channel(spoken.url, agent) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert await check(b"", timeout=1) == b"\x08\x01"  # SERVING
        assert await check(b"\x0a\x18interop.quotes.v1.Quotes", timeout=1) == b"\x08\x01"


@pytest.fixture(scope="session")
def grpcjs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages and the client."""
    return installed(Path(__file__).parent / "grpcjs", tmp_path_factory.mktemp("interop") / "grpcjs", seconds=80)


@pytest.mark.xdist_group("node")
async def test_a_client_of_node_is_served(spoken, stubs, grpcjs):
    process = await asyncio.create_subprocess_exec(
        "node", "client.mjs", spoken.url, str(stubs.file), cwd=grpcjs, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    seen = json.loads(out)

    assert (seen["city"], seen["hotel"]) == ("Zürich", str(2**60))
    assert seen["gone"] == {"code": "NOT_FOUND", "message": "The quote is gone."}
    assert seen["numbers"] == [0, 1, 2, 3, 4]
    assert seen["total"] == str(3 * 2**60)
    assert len(seen["words"]) == 2
    assert seen["late"]["code"] == "DEADLINE_EXCEEDED"
