"""Where a page ends: rows laid out, from top to bottom, on as many pages as they need."""

from __future__ import annotations

from collections.abc import Iterable

from .rows import Row
from .template import TemplateError

_HAIR = 1e-6  # points, which sums of fractions may be off by


class Pages:
    """The pages so far, each with its rows and their tops; rows are added to the last one while it has room."""

    def __init__(self, top: float, bottom: float) -> None:
        self._top, self._bottom = top, bottom
        self._place = top
        self.pages: list[list[tuple[Row, float]]] = [[]]

    def put(self, rows: Iterable[Row], head: Row | None = None) -> None:
        """Rows that belong together like a table's: the head is above them on each of their pages.

        A row that the page has no room for goes on to the next one whole. Two kinds are divided: a row that is taller
        than a page, and the first of the rows, lest a page stay empty below what comes before them.
        """
        above = head.height if head else 0
        begun = False
        for row in rows:
            rest: Row | None = row
            while rest is not None:
                room = self._room() - (0 if begun else above)
                if rest.height <= room:
                    part, rest = rest, None
                elif (not begun or rest.height > self._top - self._bottom - above) and (halves := rest.split(room)):
                    part, rest = halves
                else:
                    self._turn()
                    begun = False
                    continue
                if head and not begun:
                    self._add(head)
                self._add(part)
                begun = True

    def gap(self, height: float) -> None:
        """Space before the next row; where a page ends there is none."""
        self._place -= height

    def need(self, height: float) -> None:
        """Begin another page unless so much is left of this one."""
        if self.pages[-1] and height > self._room():
            self._turn()

    def _room(self) -> float:
        return self._place - self._bottom + _HAIR

    def _add(self, row: Row) -> None:
        self.pages[-1].append((row, self._place))
        self._place -= row.height

    def _turn(self) -> None:
        if not self.pages[-1]:
            raise TemplateError("labels: the heads of the columns leave no room on a page for a line.")
        self.pages.append([])
        self._place = self._top
