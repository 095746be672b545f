"""Who called whom, by recorded traces: it is how those are known that ask apps, which a request does not say."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meristem.operators.operator_contract import SpanView

KEPT: Final = 10_000  # spans by which others are understood
UNKNOWN: Final = 2_000  # spans whose caller may still be told of: it ends later than what it called


class SeenCalls:
    """Callers and callees of the spans of all processes; a call's end is told of before that of who called."""

    def __init__(self) -> None:
        self._found: set[tuple[str, str]] = set()
        self._spans: OrderedDict[str, SpanView] = OrderedDict()
        self._open: OrderedDict[str, SpanView] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(tuple(self._found))

    def add(self, spans: Iterable[SpanView]) -> None:
        """Take in what ended."""
        for each in spans:
            self._spans[each.span_id] = each
            if each.kind == "server" and each.parent_id:
                self._open[each.span_id] = each
        while len(self._spans) > KEPT:
            self._spans.popitem(last=False)
        while len(self._open) > UNKNOWN:
            self._open.popitem(last=False)
        for called in list(self._open.values()):
            if (caller := self._caller(called)) is not None:
                del self._open[called.span_id]
                self._found.add((caller.service, called.service))

    def _caller(self, called: SpanView) -> SpanView | None:
        """What the call was made in; the way between two processes is a span as well, and none of it."""
        found = self._spans.get(called.parent_id)
        while found is not None and found.kind == "client":
            found = self._spans.get(found.parent_id)
        return found
