"""curl calls a Meristem server."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from typing import Any
from urllib.parse import quote

import pytest

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

QUOTE = {
    "hotelId": "7",
    "city": "Zürich",
    "until": "2030-01-02T03:04:05Z",
    "length": "1.5s",
    "means": {"type": "card", "number": "1"},
}


async def curl(*arguments: str) -> tuple[int, bytes]:
    """Status and body."""
    command = [str(CURL), "-sS", "--max-time", "60", "-w", "\n%{http_code}", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    body, _, status = out.rpartition(b"\n")
    return int(status), body


def post(served: Any, method: str, body: Any, *more: str) -> list[str]:
    url = f"{served.url}/interop.quotes.v1.Quotes/{method}"
    return ["-H", "content-type: application/json", "-d", json.dumps(body), *more, url]


async def test_a_unary_call(served):
    status, body = await curl(*post(served, "Echo", QUOTE))

    assert status == 200
    assert json.loads(body) == {
        "hotel_id": 7,
        "city": "Zürich",
        "until": "2030-01-02T03:04:05Z",
        "length": "PT1.5S",
        "means": {"type": "card", "number": "1"},
        "raw": "",
        "grid": [],
    }


async def test_compression_both_ways(served, tmp_path):
    packed = tmp_path / "body.gz"
    packed.write_bytes(gzip.compress(json.dumps(QUOTE | {"city": "x" * 5000}).encode()))
    url = f"{served.url}/interop.quotes.v1.Quotes/Echo"

    status, body = await curl(
        "--compressed", "-H", "content-type: application/json", "-H", "content-encoding: gzip",
        "--data-binary", f"@{packed}", url,
    )  # fmt: skip

    assert (status, len(json.loads(body)["city"])) == (200, 5000)


async def test_get_for_safe_operations_only(served):
    query = f"connect=v1&encoding=json&message={quote(json.dumps(QUOTE))}"

    safe = await curl(f"{served.url}/interop.quotes.v1.Quotes/Echo?{query}")
    unsafe = await curl(f"{served.url}/interop.quotes.v1.Quotes/Wait?connect=v1&encoding=json&message=%7B%7D")

    assert safe[0] == 200
    assert json.loads(safe[1])["hotel_id"] == "7"  # ProtoJSON, as the query's `connect=v1` asks
    assert unsafe[0] == 405


async def test_errors_have_a_status_and_say_which_field(served):
    fault = await curl(*post(served, "Echo", QUOTE | {"city": "Gone"}))
    wrong = await curl(*post(served, "Echo", QUOTE | {"hotelId": "seven"}))

    assert (fault[0], json.loads(fault[1])["details"][0]["debug"]) == (404, {"hotel_id": 7})
    assert wrong[0] == 400
    assert json.loads(wrong[1])["details"][0]["debug"]["fieldViolations"][0]["field"] == "hotel_id"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("content-type: text/plain", 415),
        ("content-encoding: br", 501),
        ("connect-timeout-ms: soon", 400),
        ("connect-timeout-ms: 12345678901", 400),
    ],
)
async def test_headers_that_the_protocol_does_not_know_are_refused(served, header, status):
    url = f"{served.url}/interop.quotes.v1.Quotes/Echo"
    media = [] if header.startswith("content-type") else ["-H", "content-type: application/json"]

    assert (await curl(*media, "-H", header, "-d", json.dumps(QUOTE), url))[0] == status


async def test_http_1_0_and_chunked_bodies(served, tmp_path):
    old = await curl("-0", *post(served, "Echo", QUOTE))
    chunked = await curl(*post(served, "Echo", QUOTE, "-H", "transfer-encoding: chunked"))

    assert [old[0], chunked[0]] == [200, 200]


async def test_rest_and_its_stream(served):
    status, body = await curl(f"{served.url}/api/count/3")

    assert (status, body) == (200, b"0\n1\n2\n")
