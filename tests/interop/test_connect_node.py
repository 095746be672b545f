"""@connectrpc/connect-node calls a Meristem server in both encodings."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="node and npm are not installed"
)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages and the client."""
    folder = shutil.copytree(
        HERE, tmp_path_factory.mktemp("interop") / "node", ignore=shutil.ignore_patterns("node_modules")
    )
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install connect-node: {installed.stderr.strip()[-200:]}")
    return folder


@pytest.mark.parametrize("encoding", ["json", "proto"])
async def test_a_node_client_is_served(served, node, encoding):
    (node / "descriptors.bin").write_bytes(served.proto.descriptors())
    (node / "quote.bin").write_bytes(served.message().SerializeToString())
    (node / "gone.bin").write_bytes(served.message(city="Gone").SerializeToString())

    process = await asyncio.create_subprocess_exec(
        "node", "client.mjs", served.url, str(node), encoding, cwd=node, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    seen = json.loads(out)

    assert seen["same"]
    assert seen["json"]["hotelId"] == str(2**60)
    assert seen["numbers"] == [0, 1, 2, 3, 4]
    assert seen["fault"] == {"code": "NotFound", "message": "The quote is gone.", "details": ["interop.quotes.v1.Gone"]}
    assert seen["deadline"]["code"] == "DeadlineExceeded"
    assert seen["internal"]["code"] == "PermissionDenied"
    await asyncio.wait_for(served.cancelled.wait(), 5)
