"""A row of a page: columns of text side by side, divided where a page ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from .shapes import Shape
from .text import Piece, Text


class Column:
    """Pieces of text, one beneath the other."""

    __slots__ = ("_left", "height", "pieces")

    def __init__(self, left: float, pieces: Sequence[Piece]) -> None:
        self._left, self.pieces = left, pieces
        self.height = sum(piece.height for piece in pieces)

    @classmethod
    def of(cls, left: float, width: float, texts: Iterable[Text]) -> Column:
        return cls(left, [text.set(width) for text in texts])

    def split(self, room: float) -> tuple[Column, Column]:
        """What fits in ``room``, and what is left."""
        for index, piece in enumerate(self.pieces):
            if piece.height > room:
                halves = piece.split(room)
                before, after = ([halves[0]], halves[1]) if halves else ([], piece)
                return (
                    Column(self._left, [*self.pieces[:index], *before]),
                    Column(self._left, [after, *self.pieces[index + 1 :]]),
                )
            room -= piece.height
        return self, Column(self._left, [])

    def draw(self, canvas: Canvas, top: float) -> None:
        for piece in self.pieces:
            piece.draw(canvas, self._left, top)
            top -= piece.height


class Row:
    """Columns with space above and below them, and what is drawn behind them."""

    __slots__ = ("_above", "_below", "_columns", "_is_centred", "_shape", "height")

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        above: float = 0,
        below: float = 0,
        centred: bool = False,
        shape: Shape | None = None,
    ) -> None:
        self._columns, self._above, self._below, self._is_centred, self._shape = columns, above, below, centred, shape
        self.height = above + max(column.height for column in columns) + below

    def split(self, room: float) -> tuple[Row, Row] | None:
        """What fits in ``room`` and what is left, or None if that would part the beginnings of the columns."""
        halves = [column.split(room - self._above - self._below) for column in self._columns]
        if any(rest.pieces and not begun.pieces for begun, rest in halves):
            return None
        return self._with([begun for begun, _ in halves]), self._with([rest for _, rest in halves])

    def draw(self, canvas: Canvas, top: float) -> None:
        if self._shape is not None:
            self._shape.draw(canvas, top - self.height, self.height)
        inner = self.height - self._above - self._below
        for column in self._columns:
            column.draw(canvas, top - self._above - ((inner - column.height) / 2 if self._is_centred else 0))

    def _with(self, columns: Sequence[Column]) -> Row:
        return Row(columns, above=self._above, below=self._below, centred=self._is_centred, shape=self._shape)
