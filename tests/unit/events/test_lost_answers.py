"""A commit whose answer was lost leaves no event in hands that know nothing of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

import pytest

from meristem.clock import SystemClock
from meristem.contracts.message import Event
from meristem.errors import StorageError, StorageUnavailable
from meristem.events.direct import DirectBus
from meristem.events.envelope import Envelope
from meristem.events.outbox import Outbox
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from meristem.events.tables import SCHEMA
from meristem.storage.database import Database, database_for
from meristem.storage.driver import Outcome, Statement
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.postgresql.session import Session
from tests.suites.postgresql import schema_of_its_own


class Paid(Event, package="lost.v1", key="order"):
    order: str


class Billing:
    """A subscriber that notes what it hears."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    async def receive(self, envelope: Envelope, *, is_new: bool = False) -> None:
        assert envelope.type == Paid.event_type
        self.heard.set()


@asynccontextmanager
async def relaying(database: Database, billing: Billing) -> AsyncIterator[Relay]:
    clock, bus = SystemClock(), DirectBus()
    bus.subscribe("billing", {Paid.event_type: DeliveryPolicy()}, billing.receive)
    lease = Lease(database, "replica")
    outbox = Outbox(database, "//lost/payments", bus.destinations, clock, lease=lease)
    relay = Relay(outbox, bus, clock)
    await lease.start()
    await outbox.start()
    await relay.start()
    yield relay
    await relay.drain()
    for each in (relay, outbox, lease):
        await each.stop()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with schema_of_its_own() as url:
        database = database_for(url, name="payments")
        await database.start()
        await database.upgrade([LEASE, SCHEMA])
        yield database
        await database.stop()


async def test_an_event_whose_publishers_commit_lost_its_answer_is_delivered(database: Database) -> None:
    billing, run = Billing(), Session.run

    async def loses_the_answer(session: Session, step: Statement) -> Outcome:
        outcome = await run(session, step)
        if step.text.startswith("INSERT INTO meristem_outbox"):
            session.terminate()
            raise StorageUnavailable("the connection was lost")
        return outcome

    async with relaying(database, billing) as relay:
        async with asyncio.timeout(60):
            while not relay.accepts("billing"):  # so the row bears the replica's number from its commit on
                await asyncio.sleep(0.05)
            with (
                mock.patch.object(Session, "run", loses_the_answer),
                pytest.raises(StorageError, match="may have happened"),
            ):
                async with database.begin() as tx:
                    await tx.publish(Paid(order="a"))
            await billing.heard.wait()
