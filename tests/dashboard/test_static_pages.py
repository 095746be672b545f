"""The files of the dashboard are served as they are, kept by browsers, and nothing else is reached by their paths."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import meristem.dashboard
from meristem.asgi import respond
from meristem.dashboard.static_files import StaticFiles
from meristem.dashboard.static_pages import DashboardPages

STATIC = Path(meristem.dashboard.__file__).parent / "static"


async def behind(scope, receive, send) -> None:
    await respond(send, 200, b"text/plain", b"behind")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(DashboardPages(behind))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as opened:
        yield opened


@pytest.mark.parametrize(
    "path", ["/", "/map", "/traces", "/traces/5f", "/logs", "/errors", "/operations", "/processes"]
)
async def test_each_page_is_one_document(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    version = StaticFiles().version
    own = (STATIC / "index.html").read_text()
    named = re.findall(r'modulepreload" href="/dashboard/\w+/([^"]+)"', answer.text)
    links = "".join(f'  <link rel="modulepreload" href="/dashboard/{each}">\n' for each in named)
    assert answer.text.replace(f"/dashboard/{version}/", "/dashboard/") == own.replace("  <!-- modules -->\n", links)
    assert "routes.js" in named
    assert len(named) == len(set(named))


async def test_a_document_names_all_that_its_page_imports(client: httpx.AsyncClient) -> None:
    """Else a browser learns of modules one round after the other."""
    answers = {path: (await client.get(path)).text for path in ("/map", "/traces/5f", "/nowhere")}
    assert all(f'/{each}"' in answers["/map"] for each in ("pages/map.js", "map/shapes.js", "parts/dom.js"))
    assert "pages/map.js" not in answers["/traces/5f"]
    assert "trace/waterfall.js" in answers["/traces/5f"]


async def test_what_has_a_version_is_kept_for_good(client: httpx.AsyncClient) -> None:
    version = StaticFiles().version
    kept = await client.get(f"/dashboard/{version}/main.js")
    asked = await client.get("/dashboard/main.js")
    assert kept.content == asked.content == (STATIC / "main.js").read_bytes()
    assert "immutable" in kept.headers["cache-control"]
    assert asked.headers["cache-control"] == (await client.get("/map")).headers["cache-control"] == "no-cache"
    # Another release's: a page of that one loads itself anew rather than be mixed of two.
    assert (await client.get("/dashboard/0123456789abcdef/main.js")).text == "behind"


async def test_what_is_of_others_is_answered_by_others(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/metrics", "/live", "/maps", "/meristem.operator.v1.Operator/System"):
        assert (await client.get(path)).text == "behind"


@pytest.mark.parametrize(
    "path", ["/dashboard/..%2f__init__.py", "/dashboard/../static_pages.py", "/dashboard//etc/passwd", "/dashboard/"]
)
def test_no_path_leads_out_of_the_folder(path: str) -> None:
    pages = DashboardPages()
    assert pages.find(path) is None


async def test_without_others_what_is_unknown_is_missing() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(DashboardPages()), base_url="http://x") as alone:
        answer = await alone.get("/nowhere")
    assert (answer.status_code, answer.text) == (404, "the dashboard has no such page; it begins at /\n")


async def test_every_answer_lets_a_page_reach_nobody_but_its_own_system(client: httpx.AsyncClient) -> None:
    for path in ("/", "/dashboard/main.js", "/dashboard/style/tokens.css"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_is_sent_once_and_packed(client: httpx.AsyncClient) -> None:
    path = "/dashboard/vendor/uplot-1.6.32/uPlot.iife.min.js"
    first = await client.get(path, headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == (STATIC / path.removeprefix("/dashboard/")).read_bytes()
    assert int(first.headers["content-length"]) < len(first.content) / 2
    plain = await client.get(path, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content
    again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-length" not in again.headers


async def test_only_reading_is_allowed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/map")).status_code == 405
    head = await client.head("/map", headers={"accept-encoding": "identity"})
    assert head.content == b""
    whole = await client.get("/map", headers={"accept-encoding": "identity"})
    assert int(head.headers["content-length"]) == len(whole.content)


def test_everything_that_a_file_names_is_there() -> None:
    """No build step finds a module that is missing."""
    named = re.compile(r"""(?:from|import\()\s*"(\.[^"]+)"|(?:href|src)="/dashboard/([^"]+)\"""")
    for file in [*STATIC.rglob("*.js"), STATIC / "index.html"]:
        if "vendor" in file.parts:
            continue
        for relative, absolute in named.findall(file.read_text()):
            target = (file.parent / relative) if relative else STATIC / absolute
            assert target.is_file(), f"{file.relative_to(STATIC)} names {relative or absolute}"


def test_what_is_of_others_says_its_licence() -> None:
    for folder in (STATIC / "vendor").iterdir():
        assert "Permission is hereby granted" in (folder / "LICENSE").read_text(), folder.name
    assert gzip.decompress(DashboardPages().find("/dashboard/main.js").packed)
