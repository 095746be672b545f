"""How long a connection's peer may take, as a pure function: what to do depends on phase, time and limits alone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.transports.http.server.phases import BODY, HEAD, HOSTED_BODY, IDLE, LINGER, UNREAD

if TYPE_CHECKING:
    from meristem.resilience.limits import Limits


class Ending(Enum):
    """How a connection ends whose peer is overdue."""

    RELEASE = "nothing is under way: say that nothing more is taken, and close"
    REFUSE = "tell the peer why, and close"
    ABORT = "cut: the peer reads nothing"


class Overdue(NamedTuple):
    """The end of a connection, and the reason that its peer is told."""

    ending: Ending
    reason: str = ""


ENDINGS: Final = {
    IDLE: Ending.RELEASE,
    HEAD: Ending.REFUSE,
    BODY: Ending.REFUSE,
    LINGER: Ending.ABORT,
    UNREAD: Ending.ABORT,
    HOSTED_BODY: Ending.REFUSE,
}
"""Work on an answer is missing here: calls have deadlines of their own."""

PARTS: Final = {HEAD: "head", BODY: "body", HOSTED_BODY: "body"}


def overdue(phase: int, waited: float, limits: Limits, *, draining: bool) -> Overdue | None:
    """What becomes of a connection whose peer has let it wait in `phase` for `waited` seconds; None while it may."""
    ending = ENDINGS.get(phase)
    if ending is None or waited <= (limit := _limit(phase, limits, draining=draining)):
        return None
    reason = f"the {PARTS[phase]} of the request took longer than {limit:g} s" if phase in PARTS else ""
    return Overdue(ending, reason)


def _limit(phase: int, limits: Limits, *, draining: bool) -> float:
    if phase == IDLE:
        return limits.first_seconds if draining else limits.idle_seconds
    if phase == HEAD:
        return limits.head_seconds
    if phase in (BODY, HOSTED_BODY):
        return limits.body_seconds
    return limits.linger_seconds if phase == LINGER else limits.write_seconds
