"""@connectrpc/connect-node calls a Meristem server in both encodings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.interop.nodejs import installed

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.xdist_group("node")  # its packages are installed once


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages and the client."""
    return installed(HERE, tmp_path_factory.mktemp("interop") / "node", seconds=80)


@pytest.mark.parametrize("encoding", ["json", "proto"])
async def test_a_node_client_is_served(served, node, encoding):
    (node / "descriptors.bin").write_bytes(served.proto.descriptors())
    (node / "quote.bin").write_bytes(served.message().SerializeToString())
    (node / "gone.bin").write_bytes(served.message(city="Gone").SerializeToString())

    while not served.began.is_set():  # on a slow machine the deadline may be over before the work begins
        process = await asyncio.create_subprocess_exec(
            "node", "client.mjs", served.url, str(node), encoding, cwd=node, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        seen = json.loads(out)

    assert seen["same"]
    assert seen["json"]["hotelId"] == str(2**60)
    assert seen["numbers"] == [0, 1, 2, 3, 4]
    assert seen["total"] == str(7 * 2**60)
    assert seen["chat"]["code"] == "Unimplemented"
    assert "call it by gRPC" in seen["chat"]["message"]
    assert seen["fault"] == {"code": "NotFound", "message": "The quote is gone.", "details": ["interop.quotes.v1.Gone"]}
    assert seen["deadline"]["code"] == "DeadlineExceeded"
    assert seen["internal"]["code"] == "PermissionDenied"
    await asyncio.wait_for(served.cancelled.wait(), 60)
