"""The lower part of a receipt: the sums with the total in a box below them, and a note."""

from __future__ import annotations

from reportlab.lib.units import mm  # type: ignore[import-untyped]

from .colours import colour, is_dark
from .receipt import Receipt
from .rows import Column, Row
from .shapes import Box
from .sheet import Sheet
from .text import Text

_WIDTH, _AMOUNTS = 98 * mm, 46 * mm
_PAD, _SIDE = 1.2 * mm, 4 * mm


def sum_rows(sheet: Sheet, receipt: Receipt) -> list[Row]:
    totals, template, currency = receipt.totals(), sheet.template, receipt.currency
    if not receipt.is_taxed:
        return [_total(sheet, template.money_text(totals.total, currency), alone=True)]
    sums = [(template.labels.net, template.money_text(totals.net, currency))]
    for share in totals.shares:
        net = template.money_text(share.net, currency)
        name = template.labels.tax.format(rate=template.rate_text(share.rate), net=net)
        sums.append((name, template.money_text(share.tax, currency)))
    *rows, last = [
        _columns(sheet, sheet.text(name, 9.5, colour=template.soft), sheet.text(amount, 9.5, right=True))
        for name, amount in sums
    ]
    return [
        *(Row(columns, above=_PAD, below=_PAD) for columns in rows),
        Row(last, above=_PAD, below=3 * mm),
        _total(sheet, template.money_text(totals.total, currency), alone=False),
    ]


def note_row(sheet: Sheet, receipt: Receipt) -> Row:
    return Row([Column.of(sheet.left, sheet.width, [sheet.text(receipt.note, 9.5, colour=sheet.template.soft)])])


def spelled_row(sheet: Sheet, receipt: Receipt) -> Row | None:
    """Says which texts are printed in other letters than they are written in; None if none is."""
    names = dict.fromkeys(text for text in receipt.names() if sheet.face.spells(text))
    if not names:
        return None
    text = sheet.template.labels.spelled.format(names=", ".join(names))
    return Row([Column.of(sheet.left, sheet.width, [sheet.label(text)])])


def _total(sheet: Sheet, amount: str, *, alone: bool) -> Row:
    template = sheet.template
    ink = "#ffffff" if is_dark(template.accent) else template.ink
    name = sheet.text(template.labels.total, 11, bold=True, colour=ink)
    total = sheet.text(amount, 13, bold=True, right=True, colour=ink)
    box = Box(sheet.right - _WIDTH, _WIDTH, colour(template.accent), round_top=alone)
    return Row(_columns(sheet, name, total, _SIDE), above=2.2 * mm, below=3 * mm, centred=True, shape=box)


def _columns(sheet: Sheet, name: Text, amount: Text, inset: float = 0) -> list[Column]:
    left, middle = sheet.right - _WIDTH + _SIDE, sheet.right - _AMOUNTS
    return [
        Column.of(left, middle - left - _PAD, [name]),
        Column.of(middle + _SIDE, _AMOUNTS - _SIDE - inset, [amount]),
    ]
