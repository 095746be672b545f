"""The lower part of a receipt: the sums with the total in a box below them, and a note."""

from __future__ import annotations

from reportlab.lib.units import mm  # type: ignore[import-untyped]

from .colours import colour, is_dark
from .receipt import Receipt
from .rows import Column, Row
from .shapes import Box
from .sheet import Sheet

_NAMES, _AMOUNTS = 52 * mm, 46 * mm
_PAD, _SIDE = 1.2 * mm, 4 * mm


def sum_rows(sheet: Sheet, receipt: Receipt) -> list[Row]:
    totals, template, currency = receipt.totals(), sheet.template, receipt.currency
    sums = [(template.labels.net, template.money_text(totals.net, currency))]
    for share in totals.shares:
        net = template.money_text(share.net, currency)
        name = template.labels.tax.format(rate=template.rate_text(share.rate), net=net)
        sums.append((name, template.money_text(share.tax, currency)))
    *rows, last = [_columns(sheet, name, amount) for name, amount in sums]
    return [
        *(Row(columns, above=_PAD, below=_PAD) for columns in rows),
        Row(last, above=_PAD, below=3 * mm),
        _total(sheet, template.money_text(totals.total, currency)),
    ]


def note_row(sheet: Sheet, receipt: Receipt) -> Row:
    return Row([Column.of(sheet.left, sheet.width, [sheet.text(receipt.note, 9.5, colour=sheet.template.soft)])])


def _columns(sheet: Sheet, name: str, amount: str) -> list[Column]:
    left = sheet.right - _AMOUNTS - _NAMES
    return [
        Column.of(left + _SIDE, _NAMES - _SIDE - _PAD, [sheet.text(name, 9.5, colour=sheet.template.soft)]),
        Column.of(left + _NAMES + _SIDE, _AMOUNTS - _SIDE, [sheet.text(amount, 9.5, right=True)]),
    ]


def _total(sheet: Sheet, amount: str) -> Row:
    left, template = sheet.right - _AMOUNTS - _NAMES, sheet.template
    ink = "#ffffff" if is_dark(template.accent) else template.ink
    name, total = (
        sheet.text(template.labels.total, 11, bold=True, colour=ink),
        sheet.text(amount, 13, bold=True, right=True, colour=ink),
    )
    columns = [
        Column.of(left + _SIDE, _NAMES - _SIDE - _PAD, [name]),
        Column.of(left + _NAMES + _SIDE, _AMOUNTS - 2 * _SIDE, [total]),
    ]
    box = Box(left, _NAMES + _AMOUNTS, colour(template.accent), round_top=False)
    return Row(columns, above=2.2 * mm, below=3 * mm, centred=True, shape=box)
