"""A placed system with a port for gRPC, and processes that call each other by it."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meristem import connect
from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told
from .shop import Orders

PLACEMENT = """
[processes]
edge  = { services = ["orders"], replicas = 2, server = { grpc = PORT } }
apps  = ["*"]
stock = ["stock"]

[policies.stock]
transport = "grpc"
"""


@pytest.fixture
def port(directory: Path) -> int:
    found = free_port()
    (directory / "grpc.toml").write_text(PLACEMENT.replace("PORT", str(found)))
    return found


def possible(channel: aio.Channel) -> Any:
    """`Orders.possible` as a stub has it: both messages have one field with the number 1, as these have."""
    return channel.unary_unary(
        "/shop.orders.v1.Orders/Possible",
        wrappers_pb2.StringValue.SerializeToString,
        wrappers_pb2.BoolValue.FromString,
    )


async def test_a_reload_loses_no_call(directory: Path, port: int, ended: list[Command]):
    run = await meristem(directory, "run", "--placement", "grpc.toml", "--port", "0")
    ended.append(run)
    await run.shows(f"gRPC at 127.0.0.1:{port}")
    await run.shows("shop runs at")

    async with connect(f"grpc://127.0.0.1:{port}") as system:
        orders, answered, enough = system.client(Orders), 0, asyncio.Event()

        async def visit() -> None:
            nonlocal answered
            while not enough.is_set():
                assert await orders.possible("chair")
                answered += 1

        visiting = asyncio.create_task(visit())
        code, said = await told(directory, "reload", "--wait")
        assert code == 0, said
        enough.set()
        await visiting
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""))

    assert answered
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_port_that_another_program_has_ends_the_run_and_names_it(directory: Path, port: int):
    with socket.create_server(("127.0.0.1", port)):
        code, said = await told(directory, "run", "--placement", "grpc.toml", "--port", "0")

    assert code != 0
    assert (
        f"cannot listen for gRPC on 127.0.0.1:{port}: Address already in use; choose another in the placement" in said
    )


async def test_a_process_alone_listens_as_the_placement_says_and_where_it_is_told(
    directory: Path, port: int, ended: list[Command]
):
    placed = ["process", "--placement", "grpc.toml"]
    own = free_port()
    code, said = await told(directory, *placed, "--process", "stock", "--listen", "tcp://127.0.0.1:0")
    assert code != 0
    assert "give --listen grpc://0.0.0.0:50051" in " ".join(said.split())

    secret = {"MERISTEM_SECRET": "0123456789abcdef0123456789abcdef"}
    stock = await meristem(directory, *placed, "--process", "stock", "--listen", f"grpc://127.0.0.1:{own}", **secret)
    ended.append(stock)
    await stock.shows("ready at")
    edge = await meristem(
        directory,
        *placed,
        "--process",
        "edge",
        "--public",
        "tcp://127.0.0.1:0",
        **secret,
        STOCK_URL=f"grpc://127.0.0.1:{own}",
    )
    ended.append(edge)
    await edge.shows(f"grpc://127.0.0.1:{port}")

    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert (await possible(channel)(wrappers_pb2.StringValue(value="chair"), timeout=PATIENCE)).value
    async with aio.insecure_channel(f"127.0.0.1:{own}") as channel:
        with pytest.raises(grpc.RpcError, match="meristem-token"):
            await channel.unary_unary("/meristem.events.v1.Deliveries/Announce")(b"", timeout=PATIENCE)
