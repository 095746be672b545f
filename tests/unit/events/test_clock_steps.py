"""A clock that is set, forward or back, delays no retry and hastens none; of a pause on disk no more is believed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from meristem.events.bus import SubscriberAway
from meristem.events.direct import DirectBus
from meristem.events.facts import Away, Delivered, DeliveryRetried
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from meristem.events.tables import OUTBOX
from meristem.testing import ManualClock
from tests.suites.bus import PATIENT, Noted, Stage
from tests.suites.postgresql import require, schemas_for

HOUR, DAY = 3600.0, 86400.0
STEPS = pytest.mark.parametrize("seconds", [-HOUR, HOUR, -3650 * DAY, 3650 * DAY])


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request):
    """The URL of each service's database; empty for SQLite's files."""
    if request.param == "sqlite":
        yield ""
    else:
        require()
        with schemas_for("publisher", "billing") as url:
            yield url.format(service="{}")


@pytest.fixture
async def staged(tmp_path, databases):
    """Makes replicas of a publisher on one database and one clock, one after the other."""
    clock, stages = ManualClock(), []

    def make():
        stage = Stage(tmp_path, DirectBus(), clock, databases=databases)
        stage.relay = Relay(stage.outbox, stage.bus, clock)  # its polls take the machine's time
        stage.relay.observers.append(stage.on_fact)
        stages.append(stage)
        return stage

    yield make
    for each in stages:
        await each.stop()


@pytest.fixture
def stage(staged):
    return staged()


async def refused_once(stage, failure, policy=PATIENT):
    """A subscriber whose handler has failed once, and would not again."""
    billing, failures = stage.subscriber("billing", policy=policy), iter([failure])

    async def fail_once(_):
        if error := next(failures, None):
            raise error

    billing.before = fail_once
    await stage.start()
    await stage.publish(Noted(number=1))
    await stage.emitted(DeliveryRetried)
    return billing


@STEPS
@pytest.mark.parametrize("failure", [RuntimeError("refused"), ConnectionRefusedError("away")], ids=["refused", "away"])
async def test_an_event_is_tried_again_within_its_pause_whatever_the_clock_is_set_to(stage, seconds, failure):
    billing = await refused_once(stage, failure)
    stage.clock.step(seconds)
    await stage.clock.advance(0)
    assert billing.seen == [1]  # a step forward is no time that has passed

    await stage.clock.advance(PATIENT.cap)
    await stage.settle()

    assert billing.seen == [1, 1]
    assert await billing.entries() == [1]


@STEPS
async def test_a_subscriber_that_was_away_is_asked_again_within_seconds_whatever_the_clock_is_set_to(stage, seconds):
    billing = stage.subscriber("billing")
    receive, asked = billing.inbox.receive, []

    async def away_at_first(envelope, *, is_new):
        asked.append(envelope.id)
        if len(asked) == 1:
            raise SubscriberAway("its process is down")
        await receive(envelope, is_new=is_new)

    billing.inbox.receive = away_at_first
    await stage.start()
    await stage.publish(Noted(number=1))
    await stage.emitted(Away)
    await stage.clock.sleeping(len(stage.subscribers) + 1)  # the relay waits until it asks again
    stage.clock.step(seconds)
    await stage.clock.advance(0)
    assert len(asked) == 1

    await stage.clock.advance(5.0)
    await stage.settle()

    assert await billing.entries() == [1]


async def test_an_outage_is_as_old_as_the_time_that_has_passed_not_as_the_clock_says(stage):
    """A clock that is set forward by a year makes no outage so old that it counts as a refusal."""
    policy = DeliveryPolicy(attempts=1, base=1.0, cap=1.0)
    billing, failures = stage.subscriber("billing", policy=policy), iter([TimeoutError(), TimeoutError()])

    async def fail_twice(_):
        if error := next(failures, None):
            raise error

    billing.before = fail_twice
    await stage.start()
    await stage.publish(Noted(number=1))
    await stage.emitted(DeliveryRetried)
    stage.clock.step(365 * DAY)
    await stage.clock.advance(policy.cap)
    await stage.emitted(DeliveryRetried, 2)
    await stage.clock.advance(policy.cap)
    [delivered] = await stage.emitted(Delivered)

    assert await billing.entries() == [1]
    assert delivered.seconds <= 2 * policy.cap


@pytest.mark.parametrize("seconds", [-HOUR, -3650 * DAY])
@pytest.mark.parametrize("failure", [RuntimeError("refused"), ConnectionRefusedError("away")], ids=["refused", "away"])
async def test_a_restart_after_the_clock_was_set_back_tries_again_at_once(stage, staged, seconds, failure):
    await refused_once(stage, failure)
    await stage.vanish()
    stage.clock.step(seconds)

    again = staged()
    billing = again.subscriber("billing")
    await again.start()
    await again.emitted(Delivered)
    await again.settle()

    assert await billing.entries() == [1]


async def test_a_pause_on_disk_that_can_have_been_meant_is_kept_and_a_longer_one_is_over(stage, staged):
    policy = DeliveryPolicy(attempts=3, base=60.0, cap=60.0)
    await refused_once(stage, RuntimeError("refused"), policy)
    await stage.vanish()
    now = stage.clock.now().timestamp()

    for pause, is_kept in ((policy.cap - 1.0, True), (policy.cap + 1.0, False)):
        again = staged()
        billing = again.subscriber("billing", policy=policy)
        await again.database.start()
        await again.database.execute(update(OUTBOX).values(due_at=now + pause))
        await again.start()
        await again.relay.scan()
        if is_kept:
            await again.clock.advance(0)
            assert billing.seen == []
            await again.vanish()
        else:
            await again.emitted(Delivered)


async def run(folder, what, seconds):
    program = Path(__file__).with_name("stepping_program.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(program), str(folder), what, str(seconds)],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_a_process_whose_clock_is_set_while_an_event_waits_tries_it_again(tmp_path, seconds):
    ended = await run(tmp_path, "step", seconds)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


async def test_a_process_that_is_started_after_the_clock_was_set_back_handles_what_another_one_left(tmp_path):
    assert (await run(tmp_path, "fail", 0)).returncode == -signal.SIGKILL
    ended = await run(tmp_path, "resume", -HOUR)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
