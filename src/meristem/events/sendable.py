"""What an event may hold, so that every process takes it: it is refused where it is published, or nowhere."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from meristem.contracts.counting import bound_values
from meristem.errors import CallError
from meristem.events.cloudevents import sent_size
from meristem.resilience.limits import Limits


class Sendable(NamedTuple):
    """The limits of a request to a process, `body_bytes` and `body_values` of `[server]`, as they are by default."""

    size: int = Limits().body_bytes
    values: int = Limits().body_values

    def refusal(self, event_type: str, body: bytes) -> str | None:
        """Why an event's JSON is taken by no process, and what to do; None for one that is.

        It is sent as a text in other JSON, where its quotes are escapes; what is refused does not depend on placements.
        """
        size = sent_size(body, self.size)
        if size > self.size:
            return (
                f"{event_type} has {size} bytes as it is sent, and a process takes {self.size} (`body_bytes` of "
                "[server]): keep what is large elsewhere, and publish where it is, or raise that"
            )
        if len(body) <= 2 * self.values:  # so much fits, whatever it is
            return None
        try:
            bound_values(msgspec.json.encode(body.decode()), self.values)
        except CallError:
            return (
                f"{event_type} has more text that is not ASCII, or more quotes, than a process takes (`body_values` of "
                f"[server], {self.values}): keep what is large elsewhere, and publish where it is, or raise that"
            )
        return None
