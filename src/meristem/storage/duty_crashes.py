"""How often in a row a process has ended within a duty: kept beside who has it, for the replica that takes it next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, bindparam, or_, select, update

from meristem.storage.lease_tables import DUTIES, LIVING

if TYPE_CHECKING:
    from meristem.storage.database import Database
    from meristem.storage.lease import Lease

_duty: Final = DUTIES.c.name == bindparam("of_duty")
_mine: Final = DUTIES.c.member == bindparam("me")
_ends: Final = bindparam("ends", type_=Integer)
_CRASHES: Final = select(DUTIES.c.crashes).where(_duty)
_COUNT: Final = update(DUTIES).where(_duty, _mine).values(crashes=_ends)
_RELENT: Final = (
    update(DUTIES)
    .where(_duty, DUTIES.c.crashes > _ends, or_(_mine, DUTIES.c.member.not_in(LIVING)))
    .values(crashes=_ends)
)


class DutyCrashes:
    """The counts of the duties that a service's replicas share out by `lease`."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self._trusted: dict[str, int] = {}  # the number under which a run of each was survived

    def is_trusted(self, duty: str) -> bool:
        return self._trusted.get(duty) == self._lease.member

    async def crashes(self, duty: str) -> int:
        return int(await self._database.fetch_value(_CRASHES, {"of_duty": duty}) or 0)

    async def count(self, duty: str, crashes: int) -> None:
        member = self._lease.member
        await self._database.execute(_COUNT, {"of_duty": duty, "me": member, "ends": crashes})
        if crashes == 0:
            self._trusted[duty] = member

    async def relent(self, duty: str, crashes: int) -> None:
        await self._database.execute(_RELENT, {"of_duty": duty, "me": self._lease.member, "ends": crashes})
