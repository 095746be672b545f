"""Who wrote reads it, whichever process wrote and which way the next request comes; everybody else reads from replicas.

The standbys stand still while the tests run, so that only who is followed finds what was written meanwhile.
"""

import asyncio
import contextvars
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from meristem.runtime.remote import connect
from tests.suites.postgresql_servers import Server, servers_of_its_own
from tests.suites.served import PATIENCE, Served, served

from . import replicated
from .replicated import Notes

pytestmark = pytest.mark.xdist_group("replicas-placed")  # they share servers, which take seconds to make

PLACEMENTS = {
    "one process": '[processes]\nmain = ["*"]',
    "several": '[processes]\nnotes = ["notes"]\nclerk = ["clerk"]\ndesk = ["desk"]\nedge = ["page"]',
    "gRPC": '[processes]\nnotes = ["notes"]\nrest = ["*"]\n[policies.notes]\ntransport = "grpc"',
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Server]]:
    with servers_of_its_own("primary", "standby") as (primary, standby):
        primary.make()
        primary.control("start")
        primary.sql("CREATE SCHEMA notes", "CREATE SCHEMA desk")
        standby.copy(primary)
        standby.control("start")
        yield [primary, standby]


@pytest.fixture(scope="module", params=PLACEMENTS)
def run(request: pytest.FixtureRequest, cluster: list[Server], tmp_path_factory: Any) -> Iterator[Served]:
    """The system as its users start it, in a placement, with replicas that have stopped to replay."""
    primary, standby = cluster
    folder: Path = tmp_path_factory.mktemp("replicated")
    shutil.copy(replicated.__file__, folder / "replicated.py")
    resources = f"""
        [resources]
        database = "{primary.url}?schema={{service}}"
        replicas = ["{standby.url}?schema={{service}}"]
    """
    with served(folder, "replicated.py", PLACEMENTS[request.param] + resources) as found:
        until(lambda: port_of(found) == standby.port)
        standby.sql("SELECT pg_wal_replay_pause()")
        yield found
        standby.sql("SELECT pg_wal_replay_resume()")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def port_of(run: Served) -> int:
    found: int = httpx.get(f"{run.address}/api/notes/none", timeout=PATIENCE).json()["port"]
    return found


@pytest.fixture
async def browser(run: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=run.address, timeout=PATIENCE) as client:
        yield client


def stranger(run: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=run.address, timeout=PATIENCE)


@pytest.fixture
def note() -> str:
    return uuid4().hex


async def check(run: Served, cluster: list[Server], note: str) -> None:
    """Somebody else finds the data of before, at the standby, and the latest where the method says nothing."""
    primary, standby = cluster
    async with stranger(run) as client:
        assert (await client.get(f"/api/notes/{note}")).json() == {"port": standby.port, "found": False}
        assert (await client.get(f"/api/latest/{note}")).json() == {"port": primary.port, "found": True}


WAYS = {"its own call": {}, "a call below": {"byClerk": True}, "a fault": {"refused": True}}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
async def test_a_service_reads_what_a_call_of_it_wrote(run, cluster, browser, note, how):
    primary, _ = cluster
    answer = await browser.post("/api/desk", json={"note": note, **how})
    assert answer.json() == {"port": primary.port, "found": True}, answer.text
    await check(run, cluster, note)


async def test_a_client_of_rest_reads_what_it_wrote_by_the_field_or_the_cookie(run, cluster, browser, note):
    primary, standby = cluster
    fresh = {"port": primary.port, "found": True}
    answer = await browser.post("/api/notes", json={"note": note})
    assert answer.status_code == 204
    assert (await browser.get(f"/api/notes/{note}")).json() == fresh
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "notes" not in answer.headers["meristem-positions"]
    async with stranger(run) as client:
        positions = {"meristem-positions": answer.headers["meristem-positions"]}
        assert (await client.get(f"/api/notes/{note}", headers=positions)).json() == fresh
        for nonsense in ("x", "1" * 5000, "00000000:zz", "a=b; c", "00000000:1-1." * 40):
            odd = {"meristem-positions": nonsense, "cookie": f"meristem-positions={nonsense}"}
            seen = await client.get(f"/api/notes/{note}", headers=odd)
            assert seen.json() == {"port": standby.port, "found": False}, nonsense
        everything = await client.get(f"/api/notes/{note}", headers={"meristem-positions": "*"})
        assert everything.json() == fresh
        assert "set-cookie" not in everything.headers  # nothing was written for it
    refused = await browser.post("/api/refused", json={"note": uuid4().hex})
    assert refused.status_code == 409
    assert "meristem-positions" in refused.headers


async def test_a_browser_reads_on_a_page_what_it_wrote_on_another_or_by_the_api(run, cluster, browser, note):
    primary, standby = cluster
    fresh = {"port": primary.port, "found": True}
    assert (await browser.get(f"/page/{note}")).json() == {"port": standby.port, "found": False}
    await browser.post(f"/page/{note}")
    assert (await browser.get(f"/page/{note}")).json() == fresh
    assert (await browser.get(f"/api/notes/{note}")).json() == fresh
    await check(run, cluster, note)
    async with stranger(run) as other:
        assert (await other.get(f"/page/{note}")).json() == {"port": standby.port, "found": False}
        other_note = uuid4().hex
        await other.post("/api/notes", json={"note": other_note})
        assert (await other.get(f"/page/{other_note}")).json() == fresh


async def test_a_program_reads_what_its_calls_wrote(run, cluster, note):
    primary, standby = cluster
    async with connect(run.address) as system:
        notes = system.client(Notes)
        assert (await notes.find(note)).port == standby.port
        await notes.keep(note)
        assert await notes.find(note) == replicated.Seen(port=primary.port, found=True)

        async def somebody_else() -> replicated.Seen:
            return await notes.find(note)

        task = asyncio.get_running_loop().create_task(somebody_else(), context=contextvars.Context())
        assert await task == replicated.Seen(port=standby.port, found=False)


async def test_what_a_repeated_call_is_told_was_written_by_an_earlier_one_is_read_too(run, cluster, note):
    """The first answer is lost: whoever asks again under the key is told it, and nothing is written then."""
    primary, _ = cluster
    key = {"idempotency-key": uuid4().hex}
    async with stranger(run) as client:
        await client.post("/api/notes", json={"note": note}, headers=key)
    async with stranger(run) as client:
        await client.post("/api/notes", json={"note": note}, headers=key)
        assert (await client.get(f"/api/notes/{note}")).json() == {"port": primary.port, "found": True}


async def test_who_waited_for_a_saga_reads_what_its_steps_wrote_elsewhere(run, cluster, browser, note):
    primary, _ = cluster
    answer = await browser.post("/api/durably", json={"note": note})
    assert answer.json() == {"port": primary.port, "found": True}, answer.text
    async with stranger(run) as client:
        other = uuid4().hex
        await client.post("/api/sagas", json={"note": other})
        assert (await client.get(f"/api/notes/{other}")).json() == {"port": primary.port, "found": True}


async def test_an_events_handler_finds_what_the_event_tells_of(run, cluster, browser, note):
    primary, _ = cluster
    await browser.post("/api/notes", json={"note": note})
    async with asyncio.timeout(PATIENCE):
        while (heard := await browser.get(f"/api/heard/{note}")).status_code == 204:
            await asyncio.sleep(0.02)
    assert heard.json() == {"port": primary.port, "found": True}
