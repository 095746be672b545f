"""What a relay may claim: the same rows, whether claims run one after the other or side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import insert

from meristem.clock import SystemClock
from meristem.events import statements
from meristem.events.delivery import Claim
from meristem.events.direct import DirectBus
from meristem.events.outbox import Outbox
from meristem.events.relay import Relay
from meristem.events.tables import OUTBOX, SCHEMA
from meristem.storage.database import Database, database_for
from meristem.storage.driver import Outcome, Statement
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import MEMBERS
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.unit import UnitOfWork

ME, ALIVE, DIED = 1, 2, 3
ROWS = [
    ("a", ALIVE),  # 1
    ("a", None),  # 2: would overtake 1
    ("b", DIED),  # 3
    ("b", None),  # 4
    ("c", ME),  # 5
    ("c", None),  # 6: the claimer keeps it behind 5
    ("", ALIVE),  # 7
    ("", None),  # 8
    ("d", None),  # 9
    ("d", None),  # 10
    ("d", None),  # 11
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = database_for(database_url)
    await database.start()
    await database.upgrade([LEASE, SCHEMA])
    async with database.begin() as tx:
        for member in (ME, ALIVE):
            await tx.execute(insert(MEMBERS), {"id": member, "name": str(member), "process": "", "beat": 0})
        for number, (key, member) in enumerate(ROWS, 1):
            row = {"seq": number, "event_id": str(number), "subscriber": "billing", "type": "t", "key": key, "body": ""}
            row |= {"created": 1.0, "attempts": 0, "due_at": 1.0, "member": member}
            await tx.execute(insert(OUTBOX), row)
    yield database
    await database.stop()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    lease = Lease(database, "me")
    lease.member = ME
    return Outbox(database, "//test/rooms", lambda _: ["billing"], SystemClock(), lease)


def claimed(claim: Claim) -> list[str]:
    return [each.event_id for each in claim.deliveries]


async def is_all(outbox: Outbox, claim: Claim) -> bool:
    return claim.is_all if claim.is_all is not None else not await outbox.has_free("billing")


async def test_nothing_is_claimed_while_a_dead_replica_holds_rows(outbox):
    claim = await outbox.claim("billing", None, turns=10, run=10, unkeyed=10)

    assert claim.deliveries == []
    assert not await is_all(outbox, claim)


async def test_a_claim_takes_what_nobody_alive_holds_and_nothing_before_its_turn(outbox):
    await outbox.clear_up()

    claim = await outbox.claim("billing", None, turns=10, run=10, unkeyed=10)

    assert claimed(claim) == ["3", "4", "6", "8", "9", "10", "11"]
    assert claim.is_end
    assert not await is_all(outbox, claim)  # the second row waits for the first, in other hands


async def test_a_claim_takes_a_run_of_each_of_some_keys_and_the_next_goes_on_behind_them(outbox):
    await outbox.clear_up()

    claims = [await outbox.claim("billing", None, turns=2, run=1, unkeyed=10)]
    while not claims[-1].is_end:
        claims.append(await outbox.claim("billing", claims[-1].key, turns=2, run=1, unkeyed=10))
    again = await outbox.claim("billing", None, turns=10, run=1, unkeyed=10)

    assert [claimed(each) for each in claims] == [["3", "8"], ["6", "9"], []]
    assert claimed(again) == ["4", "10"]


async def test_the_last_row_claimed_is_told(outbox, database):
    await outbox.clear_up()
    await database.execute(statements.REMOVE, {"event": "1", "of_subscriber": "billing", "of_key": "a"})

    claim = await outbox.claim("billing", None, turns=10, run=10, unkeyed=10)

    assert await is_all(outbox, claim)


async def test_a_claim_holds_no_lock_while_the_event_loop_has_something_else_to_do(outbox, database, monkeypatch):
    """Another transaction waits for what the database does, and not until the loop has come round."""

    async def run(self: UnitOfWork, step: Statement) -> Outcome:
        raise AssertionError(f"a trip to the database with the lock held: {step.text}")

    await outbox.clear_up()
    monkeypatch.setattr(UnitOfWork, "run", run)

    claim = await outbox.claim("billing", None, turns=10, run=10, unkeyed=10)

    assert len(claim.deliveries) == 7


async def test_on_a_server_a_relay_looks_for_what_nobody_holds_twice_a_second(database: Database):
    lease = Lease(database, "me")
    outbox = Outbox(database, "//test/rooms", lambda _: ["billing"], SystemClock(), lease)

    assert outbox.poll == (0.5 if database.system == "postgresql" else 1.0)
    assert Relay(outbox, DirectBus(), SystemClock())._claims._poll == outbox.poll
