"""Recommendations in processes of their own, without certificates: stubs know one address, the edge's."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bookshop.interceptors.client import client_interceptors
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio

from meristem.system.state_directory import StateDirectory
from tests.suites.served import PATIENCE, Served, copied, served

FOLDER = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("replicas")  # it is started once


@pytest.fixture(scope="module")
def shop(own_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The placement of the example, with its port at an address of its own; both replicas have a model."""
    folder = copied(FOLDER, tmp_path_factory.mktemp("replicas") / "bookshop")
    placement = (folder / "placements" / "recommendations.toml").read_text()
    placement = placement.replace("grpc = 50051", f'grpc = "{own_address}:50051"')
    with served(folder, "bookshop.tutorial:recommendations", placement) as run:
        for replica in ("recommendations-0", "recommendations-1"):
            run.shows(replica, "ranks by model 1")
        yield run


@pytest.fixture
def client(shop: Served, own_address: str, stubs: Any) -> Iterator[Any]:
    with grpc.insecure_channel(f"{own_address}:50051") as channel:
        yield stubs.grpc.RecommendationsStub(channel)


def test_both_replicas_take_the_model_that_one_of_them_had_trained(shop: Served, client: Any, stubs: Any) -> None:
    """Its quality stands in the log; who asks is told the same by whichever replica answers."""
    assert "most sold for " in shop.shows("model 1 has a purchase that it wasn't shown among its first 3 for ")
    request = stubs.pb2.RecommendationRequest(user_id=7, category=stubs.pb2.SCIENCE_FICTION, max_results=5)
    calls = [client.Recommend.future(request, timeout=PATIENCE) for _ in range(40)]
    found = {tuple(each.title for each in call.result().recommendations) for call in calls}
    assert len(found) == 1


def test_customers_with_purchases_of_their_own_get_books_of_their_own(client: Any, stubs: Any) -> None:
    calls = [
        client.Recommend.future(stubs.pb2.RecommendationRequest(user_id=each, max_results=3), timeout=PATIENCE)
        for each in range(1, 30)
    ]
    assert len({tuple(each.title for each in call.result().recommendations) for call in calls}) > 10


def test_who_asks_does_not_see_a_replica_die(shop: Served, client: Any, stubs: Any) -> None:
    """By `kill -9`, with calls on their way: the file says that they have no side effects, so the other is asked."""
    running = StateDirectory(shop.folder, "recommendations").running()
    assert running is not None
    (pid,) = [each.pid for each in running.replicas if (each.process, each.replica) == ("recommendations", 0)]
    assert pid is not None
    request = stubs.pb2.RecommendationRequest(user_id=7, max_results=3)
    calls = [client.Recommend.future(request, timeout=PATIENCE) for _ in range(300)]
    calls[0].result()
    os.kill(pid, signal.SIGKILL)
    assert {len(call.result().recommendations) for call in calls} == {3}
    shop.shows("recommendations-0", "killed by SIGKILL")


async def test_both_ends_log_what_a_call_failed_with(
    shop: Served, own_address: str, stubs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller by an interceptor, the process that answers by the system's middleware."""
    async with aio.insecure_channel(f"{own_address}:50051", interceptors=client_interceptors()) as channel:
        request = stubs.pb2.RecommendationRequest(category=7, max_results=3)
        with caplog.at_level(logging.INFO, "bookshop.interceptors"), pytest.raises(aio.AioRpcError) as raised:
            await stubs.grpc.RecommendationsStub(channel).Recommend(request, timeout=PATIENCE)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert "Recommendations.Recommend was answered NOT_FOUND after " in caplog.text
    shop.shows("recommendations-", "Recommendations.recommend answered not_found: Category not found")


def test_it_serves_the_file_as_it_was_written(shop: Served, own_address: str, stubs: Any) -> None:
    """By reflection, for tools such as grpcurl: no package, and each name and number as the stubs have it."""
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: PLC0415 - of this test alone
        ProtoReflectionDescriptorDatabase,
    )

    with grpc.insecure_channel(f"{own_address}:50051") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "Recommendations" in database.get_services()
        file = database.FindFileContainingSymbol("Recommendations")
    written = FileDescriptorProto.FromString(stubs.pb2.DESCRIPTOR.serialized_pb)
    for each in (file, written):  # the order of messages means nothing, and a field's name in JSON follows from it
        each.message_type.sort(key=lambda message: message.name)
        for field in (field for message in each.message_type for field in message.field):
            field.ClearField("json_name")
    assert file == written
