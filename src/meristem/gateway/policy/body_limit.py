"""A check of how long a body is, as its head tells; one that does not tell is counted as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.gateway.policy.gateway_refusal import refused

if TYPE_CHECKING:
    from meristem.gateway.policy.visit import Outcome, Visit


class BodyLimit:
    """Refuses requests whose body is longer than `most` bytes."""

    name = "body"

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(self, visit: Visit, /) -> Outcome:
        length = visit.request.head.get(b"content-length")
        if length is None or int(length) <= self._most:
            return None
        return refused(413, f"a body may have {self._most} bytes here")
