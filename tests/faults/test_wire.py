"""What a network does to the wire: calls end in time, and what may not be repeated happens once at most."""

from __future__ import annotations

import asyncio
import gc
import linecache
import random
import time
import tracemalloc

import pytest

from meristem.context import Context, using
from meristem.errors import CallError, Code
from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.policies import Policies
from meristem.resilience.retry import BudgetPolicy
from meristem.system.placement_tables import Telemetry

from .chaos import Proxy, Spoil, cut_after, garbage, in_turn, late, swallowed, trickle

PASSES = Proxy("", "").requests
PATIENT = Policies(breaker=BreakerPolicy(minimum=10_000), budget=BudgetPolicy(burst=1000.0))
GARBAGE = [
    b"\x00\xff" * 100,
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{}",
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{"re\xff',
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nOops",
]


async def outcome(work) -> object:
    """What a call gives, be it an error."""
    try:
        return await work
    except CallError as error:
        return error


async def test_latency_and_jitter_delay_calls_and_break_none(scene):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.requests, proxy.answers = late(0.01, 0.02), late(0.01, 0.02)

    answers = await asyncio.gather(*(till.ask(text=f"{number}") for number in range(100)))

    assert answers == [f"{number}" for number in range(100)]
    assert scene.effects.count["ask"] == 100


async def test_a_byte_at_a_time_is_enough(scene):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.requests, proxy.answers = trickle(0.0), trickle(0.0)

    assert await till.plain(text="x" * 50) == 50
    assert scene.effects.count["plain"] == 1


async def test_an_answer_that_trickles_beyond_the_deadline_ends_at_the_deadline(scene):
    till = await scene.till()
    (proxy,) = scene.proxies
    proxy.answers = trickle(0.05)
    began = time.monotonic()

    with (
        using(Context(deadline=began + 0.5)),
        pytest.raises(CallError, match=r"did not answer within the 0\.\d+ s that its caller had left") as caught,
    ):
        await till.ask(text="x")

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 15.0  # and not the timeout of 20 s


@pytest.mark.parametrize("where", ["requests", "answers"])
async def test_a_half_open_connection_ends_at_the_deadline_and_is_not_used_again(scene, where):
    till = await scene.till()
    (proxy,) = scene.proxies
    setattr(proxy, where, in_turn(swallowed, PASSES))

    with using(Context(deadline=time.monotonic() + 1.0)):
        first = await outcome(till.plain(text="x"))
    second = await till.plain(text="xy")

    assert first.code is Code.DEADLINE_EXCEEDED
    assert first.may_have_happened
    assert second == 2
    assert proxy.connections == 2
    assert scene.effects.count["plain"] == (1 if where == "requests" else 2)


async def test_a_deadline_cancels_the_work_behind_the_network(scene):
    till = await scene.till()
    scene.proxies[0].requests = late(0.02)

    with using(Context(deadline=time.monotonic() + 1.0)):
        ended = await outcome(till.wait())

    assert ended.code is Code.DEADLINE_EXCEEDED
    await asyncio.wait_for(scene.effects.cancelled.wait(), 15)  # and not the timeout of 20 s


@pytest.mark.parametrize("size", [0, 1, 60, 200])
async def test_a_connection_cut_within_the_request_is_repeated_where_the_contract_allows(scene, size):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies

    for name in ("ask", "repeatable", "keyed"):
        proxy.requests = in_turn(cut_after(size), PASSES)
        scene.front._reached.dependencies["till"]._replicas[proxy.address].client._pool.idle.clear()
        assert await getattr(till, name)(text="x")
        assert scene.effects.count[name] == 1


@pytest.mark.parametrize("size", [0, 1, 60, 200])
async def test_a_plain_call_whose_connection_is_cut_within_the_request_is_not_repeated(scene, size):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.requests = in_turn(cut_after(size), PASSES)

    ended = await outcome(till.plain(text="x"))

    assert ended.code is Code.UNAVAILABLE
    assert ended.may_have_happened  # nobody can know how much of it arrived
    assert scene.effects.count["plain"] == 0
    assert proxy.connections == 1


@pytest.mark.parametrize("size", [0, 1, 40])
@pytest.mark.parametrize(("name", "effects"), [("plain", 1), ("keyed", 1), ("repeatable", 2), ("ask", 2)])
async def test_a_call_whose_connection_is_cut_within_the_answer_was_made(scene, name, effects, size):
    """The work was done: a plain call fails and was made once, the others are repeated, and `keyed` has one effect."""
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.answers = in_turn(_answer_cut_after(size), PASSES)

    ended = await outcome(getattr(till, name)(text="x"))

    assert scene.effects.count[name] == effects
    if name == "plain":
        assert (ended.code, ended.may_have_happened) == (Code.UNAVAILABLE, True)
    else:
        assert ended in (1, "x")


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_an_answer_that_is_garbage_is_an_error_that_says_so_and_a_repetition_helps(scene, data):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.answers = garbage(data)

    plain = await outcome(till.plain(text="x"))
    proxy.answers = PASSES
    scene.front._reached.dependencies["till"]._replicas[proxy.address].client._pool.idle.clear()

    assert isinstance(plain, CallError)
    assert plain.code in (Code.UNAVAILABLE, Code.INTERNAL)
    assert "Till.plain" in plain.message
    assert scene.effects.count["plain"] == 1
    assert await till.ask(text="x") == "x"


async def test_requests_that_turn_to_garbage_on_the_way_harm_nobody(scene):
    till = await scene.till(policies=PATIENT)
    (proxy,) = scene.proxies
    proxy.requests = in_turn(garbage(b"\x16\x03\x01 nonsense\r\n\r\n"), PASSES)

    ended = await outcome(till.plain(text="x"))

    assert isinstance(ended, CallError)
    assert scene.effects.count["plain"] == 0
    assert await till.plain(text="xy") == 2


async def test_under_any_weather_no_plain_call_happens_twice_and_a_key_has_one_effect(scene):
    """Two hundred calls of each kind over connections that break at random."""
    till = await scene.till(replicas=2, policies=PATIENT)
    weather = random.Random(4)
    for proxy in scene.proxies:
        proxy.requests, proxy.answers = _now_and_then(weather), _now_and_then(weather)

    plain = await asyncio.gather(*(outcome(till.plain(text="x")) for _ in range(200)))
    done = sum(not isinstance(each, CallError) for each in plain)
    assert done <= scene.effects.count["plain"] <= 200
    assert {each.code for each in plain if isinstance(each, CallError)} == {Code.UNAVAILABLE}

    async def once(number: int) -> object:
        with using(Context(key=f"key {number}")):
            return await outcome(till.keyed(text="x"))

    for _ in range(20):  # the client asks again until it knows
        answers = await asyncio.gather(*(once(number) for number in range(200)))
        if not any(isinstance(each, CallError) for each in answers):
            break
    assert answers == [1] * 200
    assert scene.effects.count["keyed"] == 200


async def test_a_breaker_opens_while_a_replica_breaks_everything_off_and_closes_when_it_recovers(scene):
    policies = Policies(breaker=BreakerPolicy(minimum=10, open_for=0.5, open_at_most=0.5, jitter=0.0, probes=1))
    till = await scene.till(policies=policies)
    (proxy,) = scene.proxies
    proxy.requests = cut_after(0)

    ended = []
    for _ in range(16):
        with using(Context(deadline=time.monotonic() + 0.4)):  # too short to wait for the breaker
            ended.append(await outcome(till.plain(text="x")))
    met = proxy.connections
    proxy.requests = PASSES

    refused = [each for each in ended if "circuit breaker open" in each.message]
    assert refused
    assert not any(each.may_have_happened for each in refused)
    assert met < 16
    async with asyncio.timeout(30):
        while isinstance(answer := await outcome(till.plain(text="xy")), CallError):
            assert "circuit breaker" in answer.message
            await asyncio.sleep(answer.retry_after or 0.01)
    assert answer == 2
    assert scene.effects.count["plain"] == 1


async def test_a_safe_call_does_not_wait_for_a_replica_behind_a_dead_network(scene):
    till = await scene.till(replicas=2)
    await asyncio.gather(*(till.ask(text="x") for _ in range(20)))
    for each in scene.front._reached.dependencies["till"]._replicas.values():
        each.client._pool.idle.clear()
    scene.proxies[0].requests = swallowed
    began = time.monotonic()

    answers = await asyncio.gather(*(till.ask(text=f"{number}") for number in range(100)))

    assert answers == [f"{number}" for number in range(100)]
    assert time.monotonic() - began < 15.0  # and not the timeout of 20 s


async def test_a_replica_that_breaks_off_costs_no_call_that_may_be_repeated(scene):
    till = await scene.till(replicas=2)
    scene.proxies[0].answers = cut_after(10)

    answers = await asyncio.gather(*(till.ask(text=f"{number}") for number in range(100)))

    assert answers == [f"{number}" for number in range(100)]


async def test_memory_stays_bounded_however_long_the_trouble_lasts(scene):
    # Without traces: the last of them are kept up to a bound, which the trouble of a test doesn't reach.
    till = await scene.till(policies=PATIENT, telemetry=Telemetry(traces_per_second=0, late_per_second=0))
    (proxy,) = scene.proxies
    weather = random.Random(5)
    proxy.requests, proxy.answers = _now_and_then(weather), _now_and_then(weather)

    async def trouble() -> None:
        for _ in range(10):
            await asyncio.gather(*(outcome(till.ask(text="x" * 3000)) for _ in range(30)))
        await scene.disconnected()  # how many connections it ends with is chance
        gc.collect()
        linecache.clearcache()  # who tells what has held the loop of a busy machine keeps the sources that it has read

    await trouble()
    tracemalloc.start()
    try:
        await trouble()
        before, _ = tracemalloc.get_traced_memory()
        await trouble()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 300_000  # the texts of 300 calls are 900 kB


def _answer_cut_after(size: int) -> Spoil:
    """Cut the answer once it has come, and not before."""
    cut = cut_after(size)

    async def spoil(flow) -> None:
        first = await flow.reader.read(1)
        flow.reader._buffer[:0] = first
        await cut(flow)

    return spoil


def _now_and_then(weather: random.Random) -> Spoil:
    """Most connections work for a while; then they break somewhere."""

    async def spoil(flow) -> None:
        await cut_after(weather.randrange(0, 20_000))(flow)

    return spoil
