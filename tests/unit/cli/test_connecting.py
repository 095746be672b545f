"""Programs outside of a system call it by `connect()`: as anybody, as a user, or as a service that it trusts."""

import asyncio
import importlib.util
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest

from meristem import CallError, Code, ConfigurationError, Contract, Identity, MisuseError, connect, safe, using
from meristem.system.state_directory import StateDirectory

PUBLIC = """
import asyncio
from collections.abc import AsyncIterator
from typing import Protocol
from meristem import CallError, Code, Contract, Fault, Identity, Service, System, current, once, safe

class Shut(Fault):
    until: str

class Who(Contract, Protocol, package="who.v1"):
    @safe(http="GET /who", authenticated=True, timeout=60.0)
    async def am_i(self) -> str: ...
    @safe(timeout=60.0)
    async def inside(self) -> list[str | None]: ...
    @safe(http="GET /shut", raises=[Shut], timeout=60.0)
    async def shut(self) -> None: ...
    @safe(http="GET /slow", timeout=0.2)
    async def slow(self) -> None: ...
    @safe(http="GET /shaky", timeout=60.0)
    async def shaky(self) -> int: ...
    @once(http="POST /key", timeout=60.0)
    async def key(self) -> str: ...
    @safe(http="GET /numbers", timeout=60.0)
    def numbers(self, to: int) -> AsyncIterator[int]: ...

class WhoService(Who, Service):
    tries = 0
    async def am_i(self) -> str:
        return current().user.subject
    async def inside(self) -> list[str | None]:
        return [current().caller, current().user and current().user.subject]
    async def shut(self) -> None:
        raise Shut(until="Monday")
    async def slow(self) -> None:
        await asyncio.sleep(60)
    async def shaky(self) -> int:
        self.tries += 1
        raise CallError(Code.UNAVAILABLE, f"busy, {self.tries} times")
    async def key(self) -> str:
        return current().key
    async def numbers(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

async def authenticate(token):
    return Identity("ada") if token == "good" else None

system = System("who", services=[WhoService], authenticate=authenticate)
"""


class Other(Contract, Protocol, package="other.v1"):
    @safe(http="GET /other")
    async def thing(self) -> str: ...


@pytest.fixture
def who(project: Path) -> ModuleType:
    """The contract as the program has it: the module that the system runs, imported here as well."""
    file = project / "who.py"
    file.write_text(PUBLIC)
    spec = importlib.util.spec_from_file_location("who", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["who"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def address(start, who) -> str:
    running = await start("run", "who.py", "--port", "0")
    return (await running.shows("who runs at ")).split()[0]


async def refused(answer) -> CallError:
    with pytest.raises(CallError) as caught:
        await answer
    return caught.value


async def test_what_is_public_answers_anybody_with_values_faults_streams_and_keys(address, who):
    async with connect(address) as system:
        client = system.client(who.Who)
        with pytest.raises(who.Shut) as shut:
            await client.shut()
        assert shut.value.until == "Monday"
        assert [each async for each in client.numbers(3)] == [0, 1, 2]
        first, second = await asyncio.gather(client.key(), client.key())
        assert first != second  # each call has a key of its own
        with using(key="tea-1"):
            assert await client.key() == await client.key()
        busy = await refused(client.shaky())
        slow = await refused(client.slow())
        inside = await refused(client.inside())
        signed_out = await refused(client.am_i())
        other = await refused(system.client(Other).thing())

    assert busy.message == "busy, 1 times"  # what a service says is not asked again
    assert slow.code is Code.DEADLINE_EXCEEDED
    assert inside.code is Code.PERMISSION_DENIED
    assert signed_out.code is Code.UNAUTHENTICATED
    assert other.code is Code.UNIMPLEMENTED
    assert "other.v1.Other" in other.message


async def test_a_user_calls_with_a_token_and_is_told_when_it_means_nothing_any_more(address, who):
    async with connect(address, token="good") as ada, connect(address, token="stale") as nobody:
        assert await ada.client(who.Who).am_i() == "ada"
        stale = await refused(nobody.client(who.Who).am_i())

    assert stale.code is Code.UNAUTHENTICATED
    assert "token" in stale.message or "sign in" in stale.message


async def test_a_service_signs_with_the_secret_of_the_folder_or_one_it_is_given(address, who, project, monkeypatch):
    monkeypatch.delenv("MERISTEM_SECRET", raising=False)
    async with connect(folder=project, service="reports") as system:
        assert await system.client(who.Who).inside() == ["reports", None]
        with using(user=Identity("bob")):
            assert await system.client(who.Who).inside() == ["reports", "bob"]

    secret = StateDirectory(project, "who").secret({})
    async with connect(address, service="audit", secret=secret) as system:
        assert await system.client(who.Who).inside() == ["audit", None]

    monkeypatch.setenv("MERISTEM_SECRET", secret)
    async with connect(address, service="audit") as system:
        assert await system.client(who.Who).inside() == ["audit", None]

    async with connect(address, service="audit", secret="0123456789abcdef" * 4) as system:
        strange = await refused(system.client(who.Who).inside())
    assert strange.code is Code.PERMISSION_DENIED
    assert "the meristem-token is not valid here: expired or another secret" in strange.message


SCRIPT = """
import asyncio
from who import Who
from meristem import connect

async def main():
    async with connect(folder=".", service="script") as system:
        print("told", await system.client(Who).inside())

asyncio.run(main())
"""


async def test_a_script_is_a_program_of_its_own(address, start, project):
    (project / "script.py").write_text(SCRIPT)
    script = await start(program=str(project / "script.py"))

    assert await script.shows("told ") == "['script', None]"
    assert await script.ended() == 0


async def test_nothing_is_left_behind_when_the_block_is_left(address, who):
    before = asyncio.all_tasks()
    async with connect(address) as system:
        client = system.client(who.Who)
        under_way = asyncio.ensure_future(client.slow())
        await client.numbers(1).__anext__()
    error = await refused(under_way)

    assert error.code is Code.CANCELED
    assert "the block of the connection to" in error.message
    assert asyncio.all_tasks() == before
    with pytest.raises(MisuseError, match=r"Who.shut: the block of the connection to .* was left: call inside of it"):
        await client.shut()
    with pytest.raises(MisuseError, match="was opened before"):
        async with system:
            pass


async def test_where_nothing_listens_or_something_else_does_the_error_says_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        async with connect(f"http://127.0.0.1:{free.getsockname()[1]}") as system:
            nobody = await refused(system.client(Other).thing())
    assert nobody.code is Code.UNAVAILABLE
    assert not nobody.may_have_happened
    assert "127.0.0.1" in nobody.message

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"http://127.0.0.1:{port}") as system:
            strange = await refused(system.client(Other).thing())
    assert strange.code is Code.UNIMPLEMENTED
    assert "answered HTTP 404: no service there implements other.v1.Other, or only a release" in strange.message
    assert "of it without Thing, or it is no answer of a Meristem server" in strange.message


def test_what_cannot_be_meant_is_refused_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.delenv("MERISTEM_SECRET", raising=False)
    local = "http://127.0.0.1:8000"
    for options, said in (
        ({}, "say where the system runs"),
        ({"folder": tmp_path}, "no system runs from .*: start it there"),
        ({"address": "shop.example"}, "shop.example"),
        ({"address": local, "token": "a", "service": "b"}, "token= and service= each say who calls"),
        ({"address": local, "secret": "x" * 40}, "name it, as in service="),
        ({"address": local, "service": "b"}, "give secret= or MERISTEM_SECRET, or folder="),
        ({"address": local, "service": "b", "secret": "short"}, "could be guessed"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            connect(**options)
    with pytest.raises(MisuseError, match="open the connection first: async with connect"):
        connect(local).client(Other)


async def test_an_error_leads_to_the_programs_own_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with connect(f"http://127.0.0.1:{free.getsockname()[1]}") as system:
            with pytest.raises(CallError) as caught:
                await system.client(Other).thing()
    files = [entry.filename for entry in traceback.extract_tb(caught.tb)]
    assert files[0] == __file__
    assert len(files) == 2, files
