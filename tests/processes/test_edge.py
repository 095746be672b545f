"""The edge of a placed system, as a process of its own."""

import asyncio
import json
import shutil
from pathlib import Path

import httpx
import pytest

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told

GIGABYTE = 1 << 30
MIB = 1 << 20
PART = b"x" * MIB


async def _upload(port: int) -> bytes:
    """The head of the answer to a gigabyte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /store/ HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % GIGABYTE)
    for _ in range(GIGABYTE // MIB):
        writer.write(PART)
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


async def _download(port: int) -> int:
    """How many bytes come of a gigabyte, those of its framing included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /store/?%d HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % GIGABYTE)
    taken, last = 0, b""
    while data := await reader.read(MIB):
        taken += len(data)
        last = (last + data)[-7:]
    writer.close()
    assert last == b"\r\n0\r\n\r\n"
    return taken


def _peak(pid: int) -> int:
    """The most memory that a process had at any time, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell what a process had")
@pytest.mark.timeout(600)
async def test_a_gigabyte_each_way_takes_no_memory_of_the_edge(tmp_path: Path, ended: list[Command]):
    shutil.copy(Path(__file__).with_name("store.py"), tmp_path)
    (tmp_path / "split.toml").write_text('[processes]\nedge = []\nstore = ["store"]\n')
    run = await meristem(tmp_path, "run", "store.py", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    port = int((await run.shows("store runs at")).partition("127.0.0.1:")[2].split()[0])
    _, shown = await told(tmp_path, "ps", "store.py", "--json")
    pids = {row["name"]: row["pid"] for row in json.loads(shown)}
    before = {name: _peak(pid) for name, pid in pids.items()}

    head, taken = await asyncio.gather(_upload(port), _download(port))

    assert b"x-taken: %d\r\n" % GIGABYTE in head
    assert taken > GIGABYTE
    assert {name: _peak(pid) - before[name] for name, pid in pids.items() if _peak(pid) - before[name] > 32} == {}


async def test_whoever_asks_while_the_system_starts_waits_and_is_answered(tmp_path: Path, ended: list[Command]):
    """With the placement that the documentation begins with, in which nobody hosts an app."""
    orders = Path(__file__).parents[2] / "examples/quickstart/orders.py"
    shutil.copy(orders, tmp_path)
    (tmp_path / "split.toml").write_text('[processes]\nstock = { services = ["stock"], replicas = 2 }\nrest = ["*"]\n')
    port = free_port()
    run = await meristem(tmp_path, "run", "orders.py", "--placement", "split.toml", "--port", str(port))
    ended.append(run)
    statuses: list[int] = []
    ready = asyncio.Event()

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as browser:
            while not ready.is_set() or not statuses:
                try:
                    statuses.append((await browser.get("/api/stock/lamp")).status_code)
                except httpx.ConnectError:  # nobody holds the port yet
                    await asyncio.sleep(0.01)

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    await run.shows("runs at")
    ready.set()
    await asyncio.gather(*asking)

    assert set(statuses) == {200}, run.text
