"""What would be refused again is said once and at once, with what to do about it, whatever the operation allows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meristem.contracts.call import Call
from meristem.errors import CallError, Code
from meristem.resilience.retry import RetryBudget, Retrying
from meristem.transports.http.connect.errors import read_unary_error


class Repeating:
    """A client that repeats what may be repeated, and counts how often it called."""

    def __init__(self, client: Any, call: Call) -> None:
        self.calls = 0
        self._client = client
        self._call = call
        retrying = Retrying(call.operation, RetryBudget("rooms"), sleep=lambda _: asyncio.sleep(0))
        self._handler = retrying.middleware(self._counted)

    async def _counted(self, call: Call) -> Any:
        self.calls += 1
        return await self._client.call(call)

    async def error(self) -> CallError:
        with pytest.raises(CallError) as caught:
            await self._handler(self._call)
        return caught.value


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("limits", "tags", "limit"),
    [({"body_bytes": 1000}, ["t" * 2000], "body_bytes"), ({"body_values": 50}, [""] * 30_000, "body_values")],
)
async def test_a_request_above_a_limit_is_sent_once(wire, shared, limits, tags, limit):
    server = await wire.server(**limits)
    client = await wire.shared(server) if shared else wire.client(server)
    repeating = Repeating(client, wire.call("stays", hotel_id=1, tags=tags))

    error = await repeating.error()

    assert (repeating.calls, error.code, error.may_have_happened) == (1, Code.INVALID_ARGUMENT, False)
    assert limit in error.message


async def test_a_head_above_the_limit_is_sent_once(wire):
    server = await wire.server(head_bytes=100)
    repeating = Repeating(wire.client(server), wire.call("stays", hotel_id=1, tags=[]))

    error = await repeating.error()

    assert (repeating.calls, error.code, error.may_have_happened) == (1, Code.INVALID_ARGUMENT, False)
    assert "the head of a request may have 100 bytes" in error.message


@pytest.mark.parametrize("shared", [False, True])
async def test_a_reply_above_the_limit_is_asked_for_once(wire, shared):
    server = await wire.server()
    client = await wire.shared(server, reply_bytes=10_000) if shared else None
    if client is None:
        client = wire.client(server, limits=(await wire.shared(server, reply_bytes=10_000))._limits)
    repeating = Repeating(client, wire.call("stays", hotel_id=1, tags=["t" * 50] * 1200))

    error = await repeating.error()

    assert (repeating.calls, error.code, error.may_have_happened) == (1, Code.INTERNAL, True)
    assert "reply_bytes" in error.message


@pytest.mark.parametrize("status", [413, 414, 415, 431])
def test_a_proxy_that_takes_no_such_request_has_passed_nothing_on(wire, status):
    error = read_unary_error(wire.operations["stays"], status, b"<html>no</html>", "there")

    assert isinstance(error, CallError)
    assert (error.code, error.may_have_happened) == (Code.INVALID_ARGUMENT, False)
    assert f"HTTP {status}" in error.message
