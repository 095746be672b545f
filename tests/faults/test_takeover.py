"""A replica that was stopped is taken over, and writes nothing of what others have by then when it goes on.

`make faults` takes the time of ten takeovers of each kind, on SQLite and on PostgreSQL.
"""

import sys

import pytest

from .network import missing
from .takeover import BAR, STOPPED, takeover, takeover_apart


@pytest.mark.skipif(sys.platform != "linux", reason="all processes of a machine share one clock on Linux")
async def test_a_stopped_replica_is_taken_over_and_what_it_goes_on_with_has_no_effect():
    figures = await takeover(STOPPED)

    assert figures.keys() == {"saga", "event", "every", "caller"}


@pytest.mark.skipif(missing() is not None, reason=f"{missing()}")
async def test_one_that_the_network_cuts_off_from_its_database_is_taken_over_and_fenced_as_it_returns():
    figures = await takeover_apart()

    assert figures.keys() == {"saga", "event", "every", "caller"}
    assert max(figures.values()) < 5 * BAR  # on a machine that does much else
