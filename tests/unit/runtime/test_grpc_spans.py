"""A call by gRPC is told as one."""

from typing import Protocol

import pytest

from meristem import Context, Contract, Service, System, safe, using
from meristem.context import Trace
from meristem.resilience.policies import Policies
from meristem.system.placement import Placement
from meristem.testing import running


class Greeter(Contract, Protocol, package="hello.v1"):
    @safe
    async def hello(self, name: str) -> str: ...


class GreeterService(Greeter, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"


def systems(spans, kind):
    return {each.attributes["rpc.system.name"] for each in spans if each.kind == kind}


@pytest.mark.parametrize(
    ("transport", "told", "served"), [("http", "connectrpc", "meristem"), ("grpc", "grpc", "grpc")]
)
async def test_the_spans_of_both_ends_name_the_wire_and_those_of_calls_in_the_process_do_not(transport, told, served):
    placement = Placement(policies={"greeter": Policies(transport=transport)})
    system = System("hello", services=[GreeterService])

    async with running(system, where="wire", placement=placement) as app:
        with using(Context(trace=Trace.start(sampled=True))):
            await app.client(Greeter).hello("Ada")
        spans = [span for each in (app, *app.beside) for span in each.telemetry.recent.spans()]
    async with running(system, placement=placement) as app:
        with using(Context(trace=Trace.start(sampled=True))):
            await app.client(Greeter).hello("Ada")
        local = app.telemetry.recent.spans()

    assert systems(spans, "client") == {told}
    assert systems(spans, "server") == {served}
    assert systems(local, "server") == {"meristem"}
