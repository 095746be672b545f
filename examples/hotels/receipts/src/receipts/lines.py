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

_QUANTITY, _PRICE, _RATE, _AMOUNT = 15 * mm, 28 * mm, 16 * mm, 31 * mm
_GAP = 2 * mm


def line_head(sheet: Sheet, receipt: Receipt) -> Row:
    labels = sheet.template.labels
    numbers = _numbers(receipt, labels.quantity, labels.unit_price, labels.tax_rate, labels.amount)
    cells = [(sheet.label(label, right=True), width) for label, width in numbers]
    return _row(
        sheet, sheet.label(labels.description), cells, Rule(sheet.left, sheet.width, 1.2, colour(sheet.template.accent))
    )


def line_row(sheet: Sheet, receipt: Receipt, line: Line) -> Row:
    template, currency = sheet.template, receipt.currency
    rounded = receipt.rounded(line.unit_price)
    # A unit price may be finer than the currency's smallest unit: then it is shown as it is.
    price = rounded if rounded == line.unit_price else line.unit_price
    numbers = _numbers(
        receipt,
        template.number_text(_shortened(Decimal(line.quantity))),
        template.money_text(price, currency),
        template.rate_text(line.tax_rate),
        template.money_text(receipt.amount(line), currency),
    )
    cells = [(sheet.text(number, 9.5, right=True), width) for number, width in numbers]
    return _row(sheet, sheet.text(line.description, 9.5), cells, Rule(sheet.left, sheet.width, 0.5, sheet.faint))


def _numbers(receipt: Receipt, quantity: str, price: str, rate: str, amount: str) -> list[tuple[str, float]]:
    """What stands in the columns, and their widths; without a tax there is no column for it."""
    rates = [(rate, _RATE)] if receipt.is_taxed else []
    return [(quantity, _QUANTITY), (price, _PRICE), *rates, (amount, _AMOUNT)]


def _row(sheet: Sheet, description: Text, cells: Sequence[tuple[Text, float]], rule: Rule) -> Row:
    left = sheet.right - sum(width for _, width in cells)
    columns = [Column.of(sheet.left, left - sheet.left, [description])]
    for cell, width in cells:
        columns.append(Column.of(left + _GAP, width - _GAP, [cell]))
        left += width
    return Row(columns, above=2.2 * mm, below=2.4 * mm, shape=rule)


def _shortened(number: Decimal) -> Decimal:
    """``2.00`` as ``2``; ``10`` stays ``10``."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
