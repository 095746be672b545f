"""A service of another make that keeps to the same file is called as ours is, with certificates and without."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from bookshop.contracts.recommendations import (
    BookCategory,
    BookRecommendation,
    RecommendationRequest,
    Recommendations,
)

from meristem import CallError, Code, connect

SHELF = ["The Maltese Falcon", "Murder on the Orient Express", "The Hound of the Baskervilles"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "certificates"])
def address(request: pytest.FixtureRequest, stubs: Any, authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    """The tutorial's own service, by grpcio."""

    class Service(stubs.grpc.RecommendationsServicer):  # type: ignore[misc, name-defined]
        def Recommend(self, request: Any, context: Any) -> Any:
            if request.category != stubs.pb2.MYSTERY:
                context.abort(grpc.StatusCode.NOT_FOUND, "Category not found")
            found = [stubs.pb2.BookRecommendation(id=at + 1, title=title) for at, title in enumerate(SHELF)]
            return stubs.pb2.RecommendationResponse(recommendations=found[: request.max_results])

    server = grpc.server(ThreadPoolExecutor(2))
    stubs.grpc.add_RecommendationsServicer_to_server(Service(), server)
    if request.param == "plain":
        given = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        own, shown = authority.issue_cert("127.0.0.1"), authority.issue_cert("marketplace")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        shown.private_key_pem.write_to_path(tmp_path / "client.key")
        shown.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
        port = server.add_secure_port(
            "127.0.0.1:0",
            grpc.ssl_server_credentials(
                [(own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())],
                root_certificates=authority.cert_pem.bytes(),
                require_client_auth=True,
            ),
        )
        files = f"ca={tmp_path}/ca.pem&certificate={tmp_path}/client.pem&key={tmp_path}/client.key"
        given = f"grpcs://127.0.0.1:{port}?{files}"
    server.start()
    yield given
    server.stop(None).wait()


async def test_our_client_speaks_with_a_server_of_grpcio(address: str) -> None:
    async with connect(address) as system:
        client = system.client(Recommendations)
        reply = await client.recommend(RecommendationRequest(user_id=1, max_results=2))
        assert reply.recommendations == [
            BookRecommendation(id=1, title="The Maltese Falcon"),
            BookRecommendation(id=2, title="Murder on the Orient Express"),
        ]
        with pytest.raises(CallError, match="Category not found") as refused:
            await client.recommend(RecommendationRequest(category=BookCategory.SELF_HELP, max_results=2))
        assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("address", ["certificates"], indirect=True)
async def test_our_client_without_a_certificate_is_refused(address: str) -> None:
    async with connect(address.partition("&")[0]) as system:
        with pytest.raises(CallError) as refused:
            await system.client(Recommendations).recommend(RecommendationRequest(max_results=2))
    assert refused.value.code is Code.UNAVAILABLE
