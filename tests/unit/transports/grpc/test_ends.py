"""How a port begins and ends, and what a client learns of it."""

import asyncio
import contextlib
import socket
import stat
from pathlib import Path
from time import monotonic

import pytest

from meristem.context import Context
from meristem.errors import CallError, Code, ConfigurationError, MisuseError
from meristem.transports.grpc.grpc_client import GrpcClient
from meristem.transports.grpc.grpc_port import GrpcPort


async def test_a_port_that_is_taken_is_an_error_that_names_it(shop):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: address already in use; choose another"):
            await shop.server(f"127.0.0.1:{port}")


async def test_a_port_of_another_server_is_taken_too_unless_both_share_it(shop):
    port = (await shop.server("127.0.0.1:0")).addresses[0].rpartition(":")[2]

    with pytest.raises(ConfigurationError, match="in use"):
        await shop.server(f"127.0.0.1:{port}")
    shared = (await shop.server("127.0.0.1:0", shared=True)).addresses[0]
    await shop.server(shared, shared=True)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("203.0.113.7:5555", "cannot assign requested address; choose another"),
        ("no-such-host.invalid:5555", "; choose another"),
        ("unix:/nowhere/x.sock", "no such file or directory; choose another"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_told_by_its_own_reason(shop, address, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        await shop.server(address)

    assert address in str(caught.value)
    assert "in use" not in str(caught.value)


def mode_of(address):
    return stat.S_IMODE(Path(address.removeprefix("unix:")).stat().st_mode)


async def test_a_unix_socket_is_its_users_alone(shop):
    server = await shop.server()

    assert mode_of(server.addresses[0]) == 0o600


async def test_a_drain_answers_what_was_begun_and_sends_the_rest_elsewhere(shop):
    server, client = await shop.pair()
    begun = asyncio.ensure_future(client.call(shop.call("wait")))
    await shop.within(shop.handlers.started.wait())

    draining = asyncio.ensure_future(server.drain())
    late = None
    while late is None or not late.done() or not late.exception():
        await asyncio.sleep(0.01)
        late = asyncio.ensure_future(client.call(shop.call("stays", hotel_id=1)))
        await asyncio.wait([late])
    assert not begun.done()
    assert not draining.done()
    shop.handlers.release.set()

    assert await shop.within(begun) is None
    await shop.within(draining)
    assert late.exception().code is Code.UNAVAILABLE


async def test_what_reaches_a_server_that_drains_was_not_served_and_says_so(shop):
    """Else a call that may not be repeated would fail whenever a process is renewed."""
    server = await shop.server(secured=True)
    client, answered, errors = shop.client(server, sign=lambda _: "web"), 0, []

    async def visit():
        nonlocal answered
        while not errors:
            [outcome] = await asyncio.gather(client.call(shop.call("describe")), return_exceptions=True)
            if isinstance(outcome, dict):
                answered += 1
            else:
                errors.append(outcome)

    visitors = [asyncio.ensure_future(visit()) for _ in range(16)]
    await shop.within(shop.handlers.used.wait())
    await shop.within(server.drain())
    await shop.within(asyncio.wait(visitors))

    assert len(shop.handlers.contexts) == answered
    # Of a stream that the server's GOAWAY took away, the client is not told whether it had been seen.
    told = [each for each in errors if "GOAWAY" not in each.message]
    assert {each.code for each in errors} == {Code.UNAVAILABLE}
    assert not any(each.may_have_happened for each in told), errors


async def test_work_that_is_cancelled_from_within_is_a_bug_and_may_have_happened(shop):
    async def cancelled(_):
        raise asyncio.CancelledError

    shop.handlers.describe = cancelled
    server = await shop.server(secured=True)

    with pytest.raises(CallError) as caught:
        await shop.within(shop.client(server, sign=lambda _: "web").call(shop.call("describe")))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.INTERNAL, True)


async def test_a_stop_cuts_what_runs_and_waits_for_its_end(shop):
    cleaned = False

    async def wait(_):
        nonlocal cleaned
        shop.handlers.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            cleaned = True

    shop.handlers.wait = wait
    server, client = await shop.pair()
    begun = asyncio.ensure_future(client.call(shop.call("wait")))
    await shop.within(shop.handlers.started.wait())

    await shop.within(server.stop())

    assert cleaned
    with pytest.raises(CallError) as caught:
        await shop.within(begun)
    assert caught.value.may_have_happened


async def test_where_nobody_listens_nothing_has_happened(shop, tmp_path):
    client = shop.client(f"unix:{tmp_path}/nobody.sock")

    with pytest.raises(CallError) as caught:
        await shop.within(client.call(shop.call("stays", hotel_id=1)))

    assert caught.value.code is Code.UNAVAILABLE
    assert not caught.value.may_have_happened
    assert not caught.value.lost


async def test_a_client_finds_a_server_that_was_started_again(shop):
    server, client = await shop.pair()
    address = server.addresses[0]
    await client.call(shop.call("stays", hotel_id=1))
    await server.stop()
    with pytest.raises(CallError):
        await shop.within(client.call(shop.call("stays", hotel_id=1)))

    await shop.server(address)

    errors = []
    async with asyncio.timeout(30):
        while True:
            [outcome] = await asyncio.gather(client.call(shop.call("stays", hotel_id=1)), return_exceptions=True)
            if isinstance(outcome, list):
                break
            errors.append(outcome)
            await asyncio.sleep(0.02)
    assert not any(each.may_have_happened for each in errors)


def take(path, server):
    """Give the socket of a server another name."""
    Path(server.addresses[0].removeprefix("unix:")).replace(path)


async def test_a_call_waits_for_the_next_server_where_its_socket_is_kept_and_for_no_other(shop, tmp_path):
    path = tmp_path / "kept.sock"
    path.touch()
    waiting = shop.client(f"unix:{path}?kept=true")
    begun = asyncio.ensure_future(waiting.call(shop.call("stays", hotel_id=1)))

    with pytest.raises(CallError, match="Connection refused|failed to connect") as refused:
        await shop.within(shop.client(f"unix:{path}").call(shop.call("stays", hotel_id=1)))
    assert not begun.done()
    server = await shop.server()
    take(path, server)

    assert not refused.value.may_have_happened
    assert isinstance(await shop.within(begun), list)


async def test_a_stream_waits_for_the_next_server_too_and_brings_the_time_that_is_left_then(shop, tmp_path):
    path = tmp_path / "kept.sock"
    path.touch()
    client = shop.client(f"unix:{path}?kept=true")
    context = Context(deadline=monotonic() + 60)

    async def items():
        return [each async for each in await client.call(shop.call("count", context, until=3))]

    begun = asyncio.ensure_future(items())
    await asyncio.sleep(0.3)
    server = await shop.server()
    before = monotonic()
    take(path, server)

    assert await shop.within(begun)
    [seen] = shop.handlers.contexts
    assert seen.deadline < before + 60 - 0.2


async def test_who_waits_for_a_server_is_refused_when_its_name_is_taken_away(shop, tmp_path):
    path = tmp_path / "kept.sock"
    path.touch()
    client = shop.client(f"unix:{path}?kept=true")
    begun = asyncio.ensure_future(client.call(shop.call("stays", hotel_id=1)))
    done, _ = await asyncio.wait([begun], timeout=0.3)
    assert not done

    path.unlink()

    with pytest.raises(CallError) as caught:
        await shop.within(begun)
    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, False)


async def test_a_client_that_is_stopped_waits_for_no_server(shop, tmp_path):
    path = tmp_path / "kept.sock"
    path.touch()
    client = shop.client(f"unix:{path}?kept=true")
    begun = asyncio.ensure_future(client.call(shop.call("stays", hotel_id=1)))
    await asyncio.wait([begun], timeout=0.2)

    await client.stop()

    with pytest.raises(CallError, match="the client was stopped"):
        await shop.within(begun)


class Relay:
    """Stands between a client and a server, counts what it hands back, and can cut both off."""

    def __init__(self, server):
        self.back = 0
        self._path = server.addresses[0].removeprefix("unix:")
        self._ends = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_):
        self.cut()
        self._server.close()

    def cut(self):
        for each in self._ends:
            each.transport.abort()

    async def _relay(self, reader, writer):
        there, onward = await asyncio.open_unix_connection(self._path)
        self._ends += [writer, onward]
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._forth(reader, onward), self._back(there, writer))

    async def _forth(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)

    async def _back(self, reader, writer):
        while data := await reader.read(65536):
            self.back += len(data)
            writer.write(data)


async def test_a_connection_that_breaks_before_the_answer_leaves_it_open_what_happened(shop):
    async with Relay(await shop.server()) as between:
        client = shop.client(between.address)
        begun = asyncio.ensure_future(client.call(shop.call("wait")))
        await shop.within(shop.handlers.started.wait())
        between.cut()
        with pytest.raises(CallError) as caught:
            await shop.within(begun)

    assert (caught.value.code, caught.value.may_have_happened, caught.value.lost) == (Code.UNAVAILABLE, True, True)


async def test_a_client_that_is_stopped_ends_its_calls(shop):
    _, client = await shop.pair()
    begun = asyncio.ensure_future(client.call(shop.call("wait")))
    await shop.within(shop.handlers.started.wait())

    await client.stop()

    with pytest.raises(CallError) as caught:
        await shop.within(begun)
    assert (caught.value.code, caught.value.lost) == (Code.UNAVAILABLE, True)
    with pytest.raises(CallError):
        await client.call(shop.call("stays", hotel_id=1))


async def test_a_client_drains_until_its_last_call_is_answered(shop):
    _, client = await shop.pair()
    begun = asyncio.ensure_future(client.call(shop.call("wait")))
    await shop.within(shop.handlers.started.wait())

    draining = asyncio.ensure_future(client.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    shop.handlers.release.set()

    await shop.within(draining)
    await begun


async def test_a_connection_of_a_certain_age_is_renewed_and_no_call_is_lost(shop):
    server = await shop.server(port=GrpcPort("x:1", age=1.0))
    client = shop.client(server)

    async with asyncio.timeout(20):
        for _ in range(150):
            await client.call(shop.call("stays", hotel_id=1))
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "address",
    [
        "grpc://nohost",
        "grpc://:1",
        "grpc://host:99999",
        "grpc://::1:50051",
        "grpc://a b:1",
        "grpc://[x]y:1",
        "grpc+unix:relative",
    ],
)
async def test_an_address_that_cannot_be_meant_shows_how_one_looks(address):
    with pytest.raises(ConfigurationError, match="write grpc://127.0.0.1:50051"):
        GrpcClient(address)


@pytest.mark.parametrize(
    ("address", "option"), [("grpcs://a:1?ca=a.pem&cert=b.pem", "cert="), ("grpc://a:1?ca=b", "ca=")]
)
def test_an_option_that_an_address_does_not_take_is_named(address, option):
    with pytest.raises(ConfigurationError, match=f"has {option}: grpcs:// takes ca="):
        GrpcClient(address)


async def test_no_proxy_of_the_environment_stands_between(shop, monkeypatch):
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = shop.client(await shop.server("127.0.0.1:0"))

    assert await shop.within(client.call(shop.call("stays", hotel_id=1)))


@pytest.mark.parametrize("headers", [{"grpc-timeout": "1S"}, {"x y": "1"}, {"x": "é"}, {"meristem-token": "x"}])
async def test_headers_that_no_metadata_can_hold_are_refused_at_once(headers):
    with pytest.raises(MisuseError, match="header field"):
        GrpcClient("grpc://127.0.0.1:1", headers=headers)


async def test_replies_are_compressed_where_the_port_says_so(shop):
    async with Relay(await shop.server(port=GrpcPort("x:1", compression="gzip"))) as between:
        answer = await shop.client(between.address).call(shop.call("blob", data=b"\0" * 100_000))

        assert len(answer) == 100_000
        assert between.back < 10_000
