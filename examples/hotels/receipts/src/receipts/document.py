"""The document: a receipt and a template in, the bytes of a PDF out, the same for the same input."""

from __future__ import annotations

import threading
from io import BytesIO

from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from .ending import note_row, spelled_row, sum_rows
from .heading import facts_row, logo_row, parties_row
from .lines import line_head, line_row
from .margins import draw_foot, draw_top
from .pages import Pages
from .receipt import Receipt
from .sheet import Sheet
from .template import DEFAULT, Template

# ReportLab keeps fonts in one registry a process, and each font its place in the file that it is read from.
_one_at_a_time = threading.Lock()


def render(receipt: Receipt, template: Template = DEFAULT) -> bytes:
    """A PDF of one or more pages. The same receipt and template give the same bytes."""
    with _one_at_a_time:
        return _render(receipt, template)


def _render(receipt: Receipt, template: Template) -> bytes:
    sheet = Sheet(template)
    pages = _lay_out(sheet, receipt).pages
    buffer = BytesIO()
    canvas = _canvas(buffer, sheet, receipt)
    for number, rows in enumerate(pages, start=1):
        draw_top(canvas, sheet, receipt, number)
        for row, top in rows:
            row.draw(canvas, top)
        draw_foot(canvas, sheet, number, len(pages))
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _lay_out(sheet: Sheet, receipt: Receipt) -> Pages:
    pages = Pages(sheet.top, sheet.bottom)
    pages.put([logo_row(sheet, receipt)])
    pages.gap(9 * mm)
    pages.put([facts_row(sheet, receipt)])
    pages.gap(8 * mm)
    pages.put([parties_row(sheet, receipt)])
    pages.gap(10 * mm)
    pages.put((line_row(sheet, receipt, line) for line in receipt.lines), head=line_head(sheet, receipt))
    pages.gap(5 * mm)
    _put_end(pages, sheet, receipt)
    return pages


def _put_end(pages: Pages, sheet: Sheet, receipt: Receipt) -> None:
    """The sums and the note, on one page if one can hold them."""
    sums, note, gap = sum_rows(sheet, receipt), [note_row(sheet, receipt)] if receipt.note else [], 8 * mm
    spelled = spelled_row(sheet, receipt)
    pages.need(sum(row.height for row in sums) + sum(gap + row.height for row in note))
    pages.put(sums)
    pages.gap(gap)
    pages.put(note)
    if spelled is not None:
        pages.gap(gap)
        pages.put([spelled])


def _canvas(buffer: BytesIO, sheet: Sheet, receipt: Receipt) -> Canvas:
    template = sheet.template
    # Its first font is one that is used: ReportLab's own choice would be named in every document for nothing.
    canvas = Canvas(
        buffer, pagesize=sheet.paper, invariant=1, lang=template.language, initialFontName=sheet.face.regular
    )
    title = f"{template.labels.title} {receipt.number}"
    canvas.setTitle(title)
    canvas.setAuthor(receipt.seller.name)
    canvas.setSubject(f"{title}, {template.date_text(receipt.issued)}")
    canvas.setCreator("receipts")
    canvas.setKeywords([text for text in receipt.names() if sheet.face.spells(text)])
    return canvas
