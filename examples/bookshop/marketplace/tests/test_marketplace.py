"""The tutorial's shop as it stands in the tutorial, with certificates at both ends, at the port that it knows."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
import trustme
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations

from meristem import connect
from tests.suites.served import PATIENCE, Served, copied, served

FOLDER = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("marketplace")  # it is started once


class Running(NamedTuple):
    """The system, its folder and the address of its gRPC port."""

    run: Served
    folder: Path
    target: str

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def credentials(self) -> grpc.ChannelCredentials:
        """Those of the marketplace."""
        names = ("marketplace/ca.pem", "marketplace/client.key", "marketplace/client.pem")
        return grpc.ssl_channel_credentials(*map(self.read, names))


def check_port(address: str) -> None:
    """Skip where this user may not listen at 443."""
    try:
        socket.create_server((address, 443)).close()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise
        pytest.skip("port 443 is for root, or for all where net.ipv4.ip_unprivileged_port_start says so")


@pytest.fixture(scope="module")
def tutorial(own_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The tutorial's system as its README starts it, at an address of its own."""
    check_port(own_address)
    folder = copied(FOLDER, tmp_path_factory.mktemp("tutorial") / "bookshop")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "prepare-marketplace.sh", own_address],
        cwd=folder, env=os.environ | {"PATH": path}, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    placement = (folder / "placements" / "certificates.toml").read_text()
    placement = placement.replace("0.0.0.0:443", f"{own_address}:443").replace("../certificates", "certificates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDATIONS_HOST", own_address)
        with served(folder, "bookshop.tutorial:system", placement) as run:
            yield Running(run, folder, f"{own_address}:443")


def test_the_page_shows_three_mystery_books(tutorial: Running) -> None:
    """Through the edge, from an app that knows a host and three files."""
    page = httpx.get(tutorial.run.address, timeout=PATIENCE, trust_env=False)
    assert page.status_code == 200
    assert "<h1>Mystery books you may like</h1>" in page.text
    titles = re.findall(r"<li>(.+)</li>", page.text)
    assert len(titles) == len(set(titles)) == 3


def test_stubs_with_a_certificate_are_answered(tutorial: Running, stubs: Any) -> None:
    """Never with more than there are, and never with one twice."""
    with grpc.secure_channel(tutorial.target, tutorial.credentials()) as channel:
        client = stubs.grpc.RecommendationsStub(channel)
        ids: set[int] = set()
        for category in stubs.pb2.BookCategory.values():
            of_shelf = {}
            for most in (0, 1, 3, 2**31 - 1):
                request = stubs.pb2.RecommendationRequest(user_id=1, category=category, max_results=most)
                of_shelf[most] = [each.id for each in client.Recommend(request, timeout=PATIENCE).recommendations]
            assert [len(each) for each in of_shelf.values()][:3] == [0, 1, 3]
            shelf = of_shelf[2**31 - 1]
            assert len(set(shelf)) == len(shelf) > 3
            assert ids.isdisjoint(shelf)
            ids |= set(shelf)


@pytest.mark.parametrize(
    ("category", "most", "code", "says"),
    [
        (7, 3, grpc.StatusCode.NOT_FOUND, "Category not found"),
        (-1, 3, grpc.StatusCode.NOT_FOUND, "Category not found"),
        (0, -1, grpc.StatusCode.INVALID_ARGUMENT, "max_results must not be negative"),
    ],
)
def test_stubs_are_told_what_is_wrong(
    tutorial: Running, stubs: Any, category: int, most: int, code: grpc.StatusCode, says: str
) -> None:
    with grpc.secure_channel(tutorial.target, tutorial.credentials()) as channel:
        request = stubs.pb2.RecommendationRequest(user_id=1, category=category, max_results=most)
        with pytest.raises(grpc.RpcError) as refused:
            stubs.grpc.RecommendationsStub(channel).Recommend(request, timeout=PATIENCE)
    assert (refused.value.code(), refused.value.details()) == (code, says)


@pytest.mark.parametrize("shown", ["no TLS", "no certificate", "somebody else's certificate"])
def test_who_has_no_certificate_of_this_authority_is_refused(tutorial: Running, stubs: Any, shown: str) -> None:
    ca = tutorial.read("marketplace/ca.pem")
    theirs = trustme.CA().issue_cert("marketplace")
    credentials = {
        "no TLS": None,
        "no certificate": grpc.ssl_channel_credentials(ca),
        "somebody else's certificate": grpc.ssl_channel_credentials(
            ca, theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes()
        ),
    }[shown]
    opened = grpc.secure_channel(tutorial.target, credentials) if credentials else None
    with opened or grpc.insecure_channel(tutorial.target) as channel:
        client = stubs.grpc.RecommendationsStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            client.Recommend(stubs.pb2.RecommendationRequest(user_id=1, max_results=3), timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_our_own_client_shows_its_certificate_too(tutorial: Running) -> None:
    files = {name: tutorial.folder / "marketplace" / name for name in ("ca.pem", "client.pem", "client.key")}
    address = (
        f"grpcs://{tutorial.target}?ca={files['ca.pem']}&certificate={files['client.pem']}&key={files['client.key']}"
    )
    async with connect(address) as system:
        request = RecommendationRequest(user_id=1, category=BookCategory.SELF_HELP, max_results=3)
        reply = await system.client(Recommendations).recommend(request)
    assert len(reply.recommendations) == 3
