"""What a relay may claim: the same rows, whether claims run one after the other or side by side."""

from typing import Any

import pytest
from sqlalchemy import insert

from meristem.events import statements
from meristem.events.tables import DEAD, OUTBOX, PENDING, SCHEMA
from meristem.storage.database import database_for
from meristem.storage.lease import MEMBERS
from meristem.storage.lease import SCHEMA as LEASE

ME, ALIVE, DIED = 1, 2, 3
ROWS = [
    ("a", ALIVE, PENDING),  # 1
    ("a", None, PENDING),  # 2: would overtake 1
    ("b", DIED, PENDING),  # 3
    ("b", None, PENDING),  # 4
    ("c", ME, PENDING),  # 5
    ("c", None, PENDING),  # 6: the claimer keeps it behind 5
    ("", ALIVE, PENDING),  # 7
    ("", None, PENDING),  # 8
    ("d", None, DEAD),  # 9
    ("d", None, PENDING),  # 10
]


@pytest.mark.parametrize("claim", [statements.CLAIM, statements.CLAIM_SIDE_BY_SIDE])
@pytest.mark.parametrize(("count", "claimed"), [(10, [3, 4, 6, 8, 10]), (3, [3, 4, 6])])
async def test_a_claim_takes_what_nobody_alive_holds_and_nothing_before_its_turn(
    claim: Any, count: int, claimed: list[int]
):
    database = database_for("sqlite://")
    await database.start()
    await database.upgrade([LEASE, SCHEMA])
    async with database.begin() as tx:
        for member in (ME, ALIVE):
            await tx.execute(insert(MEMBERS), {"id": member, "name": str(member), "process": "", "beat": 0})
        for number, (key, member, state) in enumerate(ROWS, 1):
            row = {"seq": number, "event_id": str(number), "subscriber": "billing", "type": "t", "key": key, "body": ""}
            row |= {"created": 1.0, "attempts": 0, "due_at": 1.0, "state": state, "member": member}
            await tx.execute(insert(OUTBOX), row)

    async with database.begin() as tx:
        found = await tx.fetch_all(claim, {"whose": "billing", "me": ME, "count": count})

    assert sorted(each["seq"] for each in found) == claimed
    await database.stop()
