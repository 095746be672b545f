"""What keeps something behaves the same on PostgreSQL: `@once`, events and sagas, each service under a role of its own.

In one process and in several, of which each has its own connections, and none can reach another service's schema.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import test_events_and_sagas as kept
import test_once as once
from systems.keeping import system

from meristem.runtime.assembly import Assembly
from meristem.testing import running
from tests.suites.postgresql import services_of_their_own

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "processes"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[Assembly]:
    """The system of the two modules, with its databases made by the recipe of the documentation."""
    names = [each.service_name for each in system.services]
    async with (
        services_of_their_own(*names) as template,
        running(kept.SYSTEM, where=request.param, database=f"{template}&pool=4", **kept.OPTIONS) as found,
    ):
        yield found


globals().update({name: test for module in (kept, once) for name, test in vars(module).items() if name[:5] == "test_"})
