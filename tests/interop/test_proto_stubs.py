"""An imported contract and stubs of grpcio-tools call each other by gRPC."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from meristem.context import Context
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import operations
from meristem.proto.importing import import_proto
from meristem.transports.grpc.grpc_client import GrpcClient
from meristem.transports.grpc.grpc_server import GrpcServer
from tests.suites.importing import importable

PROTOS = Path(__file__).parent / "protos"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The contracts of the boutique as `ours`, its stubs as `pb2` and `grpc`; of a package that no other test loads."""
    folder = tmp_path_factory.mktemp("stubs")
    (folder / "stall.proto").write_text(
        (PROTOS / "boutique.proto").read_text().replace("package boutique;", "package stall;")
    )
    import_proto(folder / "stall.proto", [folder], folder / "stall.py")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={folder}"]
    subprocess.run([*command, f"--grpc_python_out={folder}", "stall.proto"], check=True)
    with importable(folder):
        yield [importlib.import_module(name) for name in ("stall", "stall_pb2", "stall_pb2_grpc")]


async def test_stubs_call_a_service_of_ours(shop, tmp_path):
    ours, pb2, pb2_grpc = shop
    taken = []

    async def charge(call: Call) -> Any:
        taken.append(call.request)
        return ours.ChargeResponse(transaction_id="t1")

    async def watch(call: Call) -> Any:
        async def products():
            for amount in (1, 2):
                yield ours.Product(
                    id=call.request.query,
                    price_by_amount={amount: ours.Money(units=2**62)},
                    shape=ours.Product.Shape.SHAPE_SQUARE,
                    weight=0.5,
                )

        return products()

    served = {}
    for contract, name, handler in (
        (ours.PaymentService, "charge", charge),
        (ours.ProductCatalogService, "watch_products", watch),
    ):
        found = operations(contract)[name]
        served[found.path] = ServedOperation(found, handler)
    server = GrpcServer(served)
    await server.start(f"unix:{tmp_path}/ours.sock")
    try:
        async with aio.insecure_channel(server.addresses[0]) as channel:
            stub = pb2_grpc.PaymentServiceStub(channel)
            reply = await stub.Charge(pb2.ChargeRequest(amount={"units": -1}, voucher="", signature=b"\x00"))
            seen = [
                each
                async for each in pb2_grpc.ProductCatalogServiceStub(channel).WatchProducts(
                    pb2.SearchProductsRequest(query="hat")
                )
            ]
    finally:
        await server.stop()

    assert reply == pb2.ChargeResponse(transaction_id="t1")
    assert taken == [ours.ChargeRequest(amount=ours.Money(units=-1), voucher="", signature=b"\x00")]
    assert [each.price_by_amount[at].units for at, each in enumerate(seen, 1)] == [2**62, 2**62]
    assert {(each.id, each.shape, each.weight) for each in seen} == {("hat", pb2.Product.SHAPE_SQUARE, 0.5)}


async def test_our_client_calls_a_service_of_stubs(shop, tmp_path):
    ours, pb2, pb2_grpc = shop
    taken = []

    class Payments(pb2_grpc.PaymentServiceServicer):
        async def Charge(self, request, context):  # noqa: N802 - as generated
            taken.append(request)
            reply = pb2.ChargeResponse(transaction_id="t2")
            reply.charged_at.seconds = 1
            return reply

    class Catalogue(pb2_grpc.ProductCatalogServiceServicer):
        async def WatchProducts(self, request, context):  # noqa: N802 - as generated
            for shape in (4, 99):
                yield pb2.Product(id=request.query, shape=shape)

    server = aio.server()
    pb2_grpc.add_PaymentServiceServicer_to_server(Payments(), server)
    pb2_grpc.add_ProductCatalogServiceServicer_to_server(Catalogue(), server)
    address = f"unix:{tmp_path}/stubs.sock"
    server.add_insecure_port(address)
    await server.start()
    client = GrpcClient(f"grpc+{address}")
    try:
        charge = operations(ours.PaymentService)["charge"]
        request = ours.ChargeRequest(credit_card=ours.CreditCardInfo(credit_card_cvv=123), signature=b"s")
        reply = await asyncio.wait_for(client.call(Call(charge, request, Context())), 30)
        watch = operations(ours.ProductCatalogService)["watch_products"]
        items = await client.call(Call(watch, ours.SearchProductsRequest(query="hat"), Context()))
        seen = [each async for each in items]
    finally:
        await client.stop()
        await server.stop(0)

    assert (reply.transaction_id, reply.charged_at.timestamp()) == ("t2", 1)
    assert taken == [pb2.ChargeRequest(credit_card={"credit_card_cvv": 123}, signature=b"s")]
    assert [(each.id, each.shape) for each in seen] == [("hat", 4), ("hat", 99)]
