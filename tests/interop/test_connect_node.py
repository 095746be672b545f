"""@connectrpc/connect-node calls a Meristem server in both encodings."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent / "node"
FETCHING = ["--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]

pytestmark = pytest.mark.xdist_group("node")  # its packages are installed once


def lacking(what: str) -> NoReturn:
    """Skip the test; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have the client of Node.js: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages and the client; what npm fetched once it takes from its cache."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("node and npm are not installed")
    folder = shutil.copytree(
        HERE, tmp_path_factory.mktemp("interop") / "node", ignore=shutil.ignore_patterns("node_modules")
    )
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", *FETCHING]
    try:
        installed = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=80, check=False
        )
    except subprocess.TimeoutExpired:
        lacking("npm did not install connect-node within 80 s; is its registry reachable?")
    if installed.returncode:
        lacking(f"npm cannot install connect-node: {installed.stderr.strip()[-300:]}")
    return folder


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
    assert seen["fault"] == {"code": "NotFound", "message": "The quote is gone.", "details": ["interop.quotes.v1.Gone"]}
    assert seen["deadline"]["code"] == "DeadlineExceeded"
    assert seen["internal"]["code"] == "PermissionDenied"
    await asyncio.wait_for(served.cancelled.wait(), 60)
