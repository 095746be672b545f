"""A saga ends its waits by what the journal knows of: asyncio's own limits are refused, with what to use instead."""

import asyncio

import pytest
from sagakit import Bookings, engine

from meristem import CallError, Code
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga


class Impatient(Bookings):
    """A service whose sagas do not wait for what is slow."""

    @saga
    async def timed(self, flow: Flow) -> str:
        await flow.with_undo(self.rooms.hold("before"), self.rooms.release)
        try:
            async with asyncio.timeout(0.05):
                await self.rooms.look("slow")
        except TimeoutError:
            return "fallback"
        return "answered"

    @saga
    async def waited_for(self, flow: Flow) -> str:
        try:
            await asyncio.wait_for(self.rooms.look("slow"), 0.05)
        except TimeoutError:
            return "fallback"
        return "answered"

    @saga
    async def in_time(self, flow: Flow) -> str:
        async with asyncio.timeout(60):
            await self.rooms.hold("a")
        return "answered"

    @saga
    async def gives_up_the_rest(self, flow: Flow) -> str:
        """A TaskGroup cancels what waits when a branch fails: that is the same in every replay."""

        async def fails() -> None:
            await self.rooms.hold("a")
            raise CallError(Code.ABORTED, "enough")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await flow.sleep(3600)
        except* CallError:
            pass
        return "went on"


@pytest.mark.parametrize("name", ["timed", "waited_for"])
async def test_a_limit_of_asyncios_own_fails_the_saga_at_once_and_undoes_it(database, remote, name):
    remote.plans["look"] = ["hang"]
    service = Impatient(remote)
    async with asyncio.timeout(20), engine(service, database):
        with pytest.raises(CallError, match=r"asyncio\.timeout\(\).*flow\.wait_for") as refused:
            await getattr(service, name)()

    assert refused.value.code is Code.UNIMPLEMENTED
    assert ("release" in remote.names()) == (name == "timed")


async def test_a_limit_that_is_not_reached_changes_nothing(database, remote):
    service = Impatient(remote)
    async with engine(service, database):
        assert await service.in_time() == "answered"


async def test_a_branch_that_fails_may_end_the_waits_of_the_others(database, remote):
    service = Impatient(remote)
    async with asyncio.timeout(20), engine(service, database):
        assert await service.gives_up_the_rest() == "went on"
