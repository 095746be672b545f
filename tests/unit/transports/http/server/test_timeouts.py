"""What becomes of a connection whose peer lets it wait: a function of phase, time and limits."""

from __future__ import annotations

import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.server.phases import (
    BODY,
    BUSY,
    HEAD,
    HOSTED,
    HOSTED_BODY,
    IDLE,
    LINGER,
    SOCKET,
    UNREAD,
)
from meristem.transports.http.server.timeouts import Ending, overdue

LIMITS = Limits(head_seconds=1, body_seconds=2, write_seconds=3, idle_seconds=4, linger_seconds=5, first_seconds=0.5)


@pytest.mark.parametrize(
    ("phase", "limit", "ending"),
    [
        (IDLE, 4, Ending.RELEASE),
        (HEAD, 1, Ending.REFUSE),
        (BODY, 2, Ending.REFUSE),
        (LINGER, 5, Ending.ABORT),
        (UNREAD, 3, Ending.ABORT),
        (HOSTED_BODY, 2, Ending.REFUSE),
    ],
)
def test_a_peer_is_overdue_after_the_limit_of_its_phase_and_not_at_it(phase, limit, ending):
    assert overdue(phase, limit, LIMITS, draining=False) is None

    found = overdue(phase, limit + 0.001, LIMITS, draining=False)

    assert found is not None
    assert found.ending is ending


@pytest.mark.parametrize("phase", [BUSY, HOSTED, SOCKET])
def test_work_on_an_answer_is_never_overdue(phase):
    assert overdue(phase, 1e9, LIMITS, draining=True) is None


def test_an_idle_connection_has_less_time_while_the_server_drains():
    assert overdue(IDLE, 0.6, LIMITS, draining=False) is None
    assert overdue(IDLE, 0.6, LIMITS, draining=True) is not None


@pytest.mark.parametrize(
    ("phase", "part"),
    [
        (HEAD, "head took longer than 1 s"),
        (BODY, "body took longer than 2 s"),
        (HOSTED_BODY, "body took longer than 2 s"),
    ],
)
def test_a_peer_that_is_refused_learns_which_part_was_late(phase, part):
    found = overdue(phase, 9, LIMITS, draining=False)

    assert found is not None
    assert found.reason == f"the {part.replace(' took', ' of the request took')}"
