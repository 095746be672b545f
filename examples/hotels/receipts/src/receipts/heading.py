"""The upper part of a receipt: whose it is, which one it is, and who the two parties are."""

from __future__ import annotations

from reportlab.lib.units import mm  # type: ignore[import-untyped]

from .colours import mixed
from .receipt import Party, Receipt
from .rows import Column, Row
from .shapes import Box
from .sheet import Sheet
from .text import Text


def logo_row(sheet: Sheet, receipt: Receipt) -> Row:
    template = sheet.template
    logo = [sheet.text(template.logo_text or receipt.seller.name, 19, bold=True, colour=template.accent)]
    if template.tagline:
        logo.append(sheet.text(template.tagline, 9, colour=template.soft))
    title = [sheet.text(template.labels.title, 19, right=True)]
    share = sheet.width * 0.64
    return Row([Column.of(sheet.left, share, logo), Column.of(sheet.left + share, sheet.width - share, title)])


def facts_row(sheet: Sheet, receipt: Receipt) -> Row:
    """The number, the date and the payment, in a box; longer ones get more of its width."""
    labels, pad = sheet.template.labels, 4 * mm
    facts = [
        (labels.number, receipt.number),
        (labels.issued, sheet.template.date_text(receipt.issued)),
        (labels.payment_method, receipt.payment_method),
        (labels.payment_reference, receipt.payment_reference),
    ]
    shown = [(label, value, min(max(len(label), len(value), 11), 24)) for label, value in facts if value]
    columns, left, unit = [], sheet.left, sheet.width / sum(share for _, _, share in shown)
    for label, value, share in shown:
        texts = [sheet.label(label), sheet.text(value, 10, bold=True)]
        columns.append(Column.of(left + pad, share * unit - 2 * pad, texts))
        left += share * unit
    return Row(columns, above=pad, below=pad, shape=Box(sheet.left, sheet.width, mixed(sheet.template.accent, 0.07)))


def parties_row(sheet: Sheet, receipt: Receipt) -> Row:
    labels, gap = sheet.template.labels, 8 * mm
    half = (sheet.width - gap) / 2
    seller = [sheet.label(labels.seller), *_party(sheet, receipt.seller)]
    buyer = [sheet.label(labels.buyer), *_party(sheet, receipt.buyer)]
    return Row([Column.of(sheet.left, half, seller), Column.of(sheet.left + half + gap, half, buyer)])


def _party(sheet: Sheet, party: Party) -> list[Text]:
    tax_id = f"{sheet.template.labels.tax_id} {party.tax_id}" if party.tax_id else ""
    small = [*party.address, party.email, tax_id]
    return [sheet.text(party.name, 11, bold=True), *(sheet.text(line, 9.5) for line in small if line)]
