"""What every page carries outside of its rows."""

from __future__ import annotations

from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from .colours import colour
from .receipt import Receipt
from .sheet import Sheet


def draw_top(canvas: Canvas, sheet: Sheet, receipt: Receipt, number: int) -> None:
    template, (width, height) = sheet.template, sheet.paper
    canvas.setFillColor(colour(template.accent))
    canvas.rect(0, height - 4 * mm, width, 4 * mm, stroke=0, fill=1)
    if number > 1:
        canvas.setFillColor(colour(template.soft))
        canvas.setFont(sheet.face.regular, 8)
        text = sheet.face.plain(f"{template.labels.title} {receipt.number}")
        canvas.drawRightString(sheet.right, height - 12 * mm, text)


def draw_foot(canvas: Canvas, sheet: Sheet, number: int, count: int) -> None:
    template, line, room = sheet.template, sheet.bottom - 6 * mm, 30 * mm
    canvas.setStrokeColor(sheet.faint)
    canvas.setLineWidth(0.5)
    canvas.line(sheet.left, line, sheet.right, line)
    legal = sheet.label(template.footer).set(sheet.width - 32 * mm)
    legal.draw(canvas, sheet.left, line - 2 * mm)
    page = sheet.label(template.labels.page.format(page=number, pages=count), right=True).set(room)
    page.draw(canvas, sheet.right - room, line - 2 * mm)
