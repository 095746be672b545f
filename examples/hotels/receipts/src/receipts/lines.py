"""The table of what was bought: the heads of its columns and a row for each line."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from reportlab.lib.units import mm  # type: ignore[import-untyped]

from .colours import colour
from .receipt import Line, Receipt
from .rows import Column, Row
from .shapes import Rule
from .sheet import Sheet
from .text import Text

_NUMBERS = (15 * mm, 28 * mm, 16 * mm, 31 * mm)
_GAP = 2 * mm


def line_head(sheet: Sheet) -> Row:
    labels = sheet.template.labels
    numbers = (labels.quantity, labels.unit_price, labels.tax_rate, labels.amount)
    cells = [sheet.label(labels.description), *(sheet.label(label, right=True) for label in numbers)]
    return _row(sheet, cells, Rule(sheet.left, sheet.width, 1.2, colour(sheet.template.accent)))


def line_row(sheet: Sheet, receipt: Receipt, line: Line) -> Row:
    template, currency = sheet.template, receipt.currency
    rounded = receipt.rounded(line.unit_price)
    # A unit price may be finer than the currency's smallest unit: then it is shown as it is.
    price = rounded if rounded == line.unit_price else line.unit_price
    numbers = (
        template.number_text(_shortened(Decimal(line.quantity))),
        template.money_text(price, currency),
        template.rate_text(line.tax_rate),
        template.money_text(receipt.amount(line), currency),
    )
    cells = [sheet.text(line.description, 9.5), *(sheet.text(number, 9.5, right=True) for number in numbers)]
    return _row(sheet, cells, Rule(sheet.left, sheet.width, 0.5, sheet.faint))


def _row(sheet: Sheet, cells: Sequence[Text], rule: Rule) -> Row:
    left = sheet.right - sum(_NUMBERS)
    columns = [Column.of(sheet.left, left - sheet.left, cells[:1])]
    for cell, width in zip(cells[1:], _NUMBERS, strict=True):
        columns.append(Column.of(left + _GAP, width - _GAP, [cell]))
        left += width
    return Row(columns, above=2.2 * mm, below=2.4 * mm, shape=rule)


def _shortened(number: Decimal) -> Decimal:
    """``2.00`` as ``2``; ``10`` stays ``10``."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
