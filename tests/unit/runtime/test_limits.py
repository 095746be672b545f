"""The limits that a placement sets hold at every server and client of the system."""

from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Service, System, safe
from meristem.resilience.limits import ClientLimits
from meristem.system.placement import REST, Placement
from meristem.system.placement_tables import ProcessTable
from meristem.testing import running


class Echo(Contract, Protocol, package="limits.v1"):
    @safe(http="POST /echo")
    async def echo(self, text: str) -> str: ...

    @safe
    async def long(self, size: int) -> str: ...


class EchoService(Echo, Service):
    async def echo(self, text: str) -> str:
        return text

    async def long(self, size: int) -> str:
        return "x" * size


SYSTEM = System("limits", services=[EchoService])


async def test_a_request_above_the_placement_s_limit_is_refused_by_a_service():
    async with running(SYSTEM, where="wire", placement=Placement(server={"body_bytes": 2000})) as app:
        assert await app.client(Echo).echo("x" * 1900) == "x" * 1900
        with pytest.raises(CallError) as caught:
            await app.client(Echo).echo("x" * 2000)

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "the request is larger than 2000 bytes; raise `body_bytes` of [server]"
    assert not caught.value.may_have_happened


async def test_a_reply_above_the_placement_s_limit_is_not_taken():
    async with running(SYSTEM, where="wire", placement=Placement(client=ClientLimits(reply_bytes=2000))) as app:
        assert len(await app.client(Echo).long(1900)) == 1900
        with pytest.raises(CallError) as caught:
            await app.client(Echo).long(2000)

    assert "the reply is larger than 2000 bytes; raise `reply_bytes` of [client]" in caught.value.message


async def test_limits_of_a_process_are_stronger_than_those_of_all(serving):
    process = ProcessTable((REST,), server={"body_bytes": 4000})
    placement = Placement(processes={"main": process}, server={"body_bytes": 2000, "head_bytes": 3000})
    async with serving(SYSTEM, placement=placement) as browser:
        fits = await browser.post("/api/echo", json={"text": "x" * 3900})
        large = await browser.post("/api/echo", json={"text": "x" * 4000})
        tall = await browser.get("/health/live", headers={"x-tall": "x" * 3000})

    assert (fits.status_code, large.status_code, tall.status_code) == (200, 413, 431)
    assert large.json()["detail"].startswith("the request is larger than 4000 bytes")
