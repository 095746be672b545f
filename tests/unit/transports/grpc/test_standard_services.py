"""The standard services beside the contracts: health checking and reflection, asked by the stock packages."""

import asyncio
from typing import Protocol

import pytest
from google.protobuf import descriptor_pool
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from meristem.contracts.call import ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import operation
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.transports.grpc.grpc_server import GrpcServer
from meristem.transports.grpc.reflection import Descriptors

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


def health(shop, server):
    return health_pb2_grpc.HealthStub(shop.stock(server))


async def test_a_process_is_serving_while_it_is_ready(shop):
    server = await shop.server(secured=True, public=True)
    stub = health(shop, server)
    found = {}

    for state in ("starting", "ready", "unready"):
        shop.state = state
        whole = await stub.Check(health_pb2.HealthCheckRequest(service=""))
        one = await stub.Check(health_pb2.HealthCheckRequest(service="shop.rooms.v1.Rooms"))
        found[state] = (whole.status, one.status)

    assert found == {
        "starting": (NOT_SERVING, NOT_SERVING),
        "ready": (SERVING, SERVING),
        "unready": (NOT_SERVING, NOT_SERVING),
    }


async def test_a_service_that_is_not_here_is_not_found(shop):
    error = await shop.failed(health(shop, await shop.server()).Check(health_pb2.HealthCheckRequest(service="Other")))

    assert error.code().name == "NOT_FOUND"


async def test_who_watches_is_told_of_each_change_and_of_the_end(shop):
    server = await shop.server()
    watching = health(shop, server).Watch(health_pb2.HealthCheckRequest())
    told = [(await shop.within(watching.read())).status]

    for state in ("unready", "ready"):
        shop.state = state
        told.append((await shop.within(watching.read())).status)
    leaving = asyncio.ensure_future(server.drain())
    told.append((await shop.within(watching.read())).status)

    assert told == [SERVING, NOT_SERVING, SERVING, NOT_SERVING]
    assert await shop.within(watching.read()) is aio.EOF
    await shop.within(leaving)


async def test_who_watches_a_service_that_is_not_here_is_told_that(shop):
    watching = health(shop, await shop.server()).Watch(health_pb2.HealthCheckRequest(service="Other"))

    assert (await shop.within(watching.read())).status == UNKNOWN
    watching.cancel()


async def ask(shop, server, *, version="v1alpha", **question):
    stub = reflection_pb2_grpc.ServerReflectionStub(shop.stock(server)).ServerReflectionInfo
    if version == "v1":
        stub = shop.stock(server).stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
    call = stub(iter([reflection_pb2.ServerReflectionRequest(**question)]))
    return await shop.within(call.read())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_what_is_served_is_listed(shop, version):
    found = await ask(shop, await shop.server(reflection=True), version=version, list_services="")

    assert [each.name for each in found.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "shop.rooms.v1.Rooms",
    ]


async def test_a_client_without_a_proto_calls_by_what_it_is_told(shop):
    server = await shop.server(reflection=True)
    answer = await ask(shop, server, file_containing_symbol="shop.rooms.v1.Rooms")
    pool = descriptor_pool.DescriptorPool()
    for each in reversed(answer.file_descriptor_response.file_descriptor_proto):
        pool.AddSerializedFile(each)

    method = pool.FindServiceByName("shop.rooms.v1.Rooms").FindMethodByName("Count")

    assert (method.server_streaming, method.client_streaming) == (True, False)
    assert [each.name for each in method.input_type.fields] == ["until"]


async def test_what_is_not_here_is_told_so(shop):
    server = await shop.server(reflection=True)

    answers = [
        await ask(shop, server, file_containing_symbol="shop.Nothing"),
        await ask(shop, server, file_by_filename="nothing.proto"),
        await ask(shop, server, all_extension_numbers_of_type="shop.rooms.v1.Stay"),
    ]

    assert [each.error_response.error_code for each in answers] == [5, 5, 5]


async def test_who_is_not_told_finds_no_reflection(shop):
    # Not by a stub, for it writes: where the server ends first, grpcio may say INTERNAL instead of its word.
    ask = shop.stock(await shop.server()).unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")

    assert (await shop.failed(ask(b""))).code().name == "UNIMPLEMENTED"


class Money(Message):
    cents: int


def refunded() -> type[Message]:
    """Another message of the same name, as two teams write them."""

    class Money(Message):
        amount: str
        currency: str

    return Money


RefundMoney = refunded()


class Payments(Contract, Protocol, package="shop.v1"):
    @operation
    async def find(self, name: str) -> Money: ...


class Refunds(Contract, Protocol, package="shop.v1"):
    @operation
    async def find(self, number: int, name: str) -> dict[str, RefundMoney]: ...


async def test_two_contracts_of_one_package_stand_in_one_file_and_their_names_do_not_clash(shop):
    known = [operations(each) for each in (Payments, Refunds)]
    codecs = {each["find"].contract: ProtoCodec(each.values()) for each in known}
    pool = descriptor_pool.DescriptorPool()

    descriptors = Descriptors({name: codec.descriptors for name, codec in codecs.items()})

    for each in reversed(descriptors.with_imports("shop/v1/shop.proto")):
        pool.AddSerializedFile(each)

    payments, refunds = (pool.FindServiceByName(f"shop.v1.{each}").methods[0] for each in ("Payments", "Refunds"))
    assert [each.name for each in payments.input_type.fields] == ["name"]
    assert [each.name for each in refunds.input_type.fields] == ["number", "name"]
    entry = refunds.output_type.fields[0].message_type
    money = entry.fields_by_name["value"].message_type
    assert entry.GetOptions().map_entry
    assert [each.name for each in payments.output_type.fields] == ["cents"]
    assert [each.name for each in money.fields] == ["amount", "currency"]
    assert (payments.output_type.full_name, money.full_name) == ("shop.v1.Money", "shop.v1.RefundsMoney")


async def test_a_server_of_two_contracts_of_one_package_answers_both(tmp_path, shop):
    async def money(_):
        return Money(cents=1)

    async def nothing(_):
        return {"a": RefundMoney(amount="2", currency="EUR")}

    routes = {}
    for contract, handler in ((Payments, money), (Refunds, nothing)):
        found = operations(contract)["find"]
        routes[found.path] = ServedOperation(found, handler)
    server = GrpcServer(routes)
    await server.start(f"unix:{tmp_path}/two.sock", reflection=True)
    client = shop.client(server)

    for contract, values, wanted in (
        (Payments, {"name": ""}, Money(cents=1)),
        (Refunds, {"number": 1, "name": ""}, {"a": RefundMoney(amount="2", currency="EUR")}),
    ):
        found = operations(contract)["find"]
        call = shop.call("describe")
        call.operation, call.request = found, found.request(**values)
        assert await client.call(call) == wanted
    await client.stop()
    await server.stop()
