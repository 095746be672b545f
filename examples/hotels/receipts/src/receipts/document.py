"""The page: a receipt and a template in, the bytes of a PDF out, the same for the same input."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from typing import Any

from reportlab import rl_config  # type: ignore[import-untyped]
from reportlab.lib.colors import Color  # type: ignore[import-untyped]
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from reportlab.platypus import (  # type: ignore[import-untyped]
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Spacer,
    Table,
)

from .receipt import Line, Party, Receipt
from .template import DEFAULT, PAGE_SIZES, Template
from .text import Text, colour
from .typeface import Typeface, typeface

# Pages stay bytes instead of being spelled in ASCII, letter by letter, for lines that lose the eighth bit.
rl_config.useA85 = 0

_MARGIN = 20 * mm
_FOOT = 30 * mm
_NUMBER_COLUMNS = (15 * mm, 28 * mm, 16 * mm, 31 * mm)


def render(receipt: Receipt, template: Template = DEFAULT) -> bytes:
    """A PDF of one or more pages. The same receipt and template give the same bytes."""
    return _Document(receipt, template).render()


class _Document:
    """One rendering."""

    def __init__(self, receipt: Receipt, template: Template) -> None:
        self.receipt, self.template, self.labels = receipt, template, template.labels
        self.face: Typeface = typeface(template.fonts)
        self.page = PAGE_SIZES[template.page_size]
        self.width = self.page[0] - 2 * _MARGIN
        self.accent, self.ink, self.soft = template.accent, template.ink, template.soft
        self.logo = template.logo_text or receipt.seller.name

    def render(self) -> bytes:
        buffer = BytesIO()
        title = f"{self.labels.title} {self.receipt.number}"
        document = BaseDocTemplate(
            buffer,
            pagesize=self.page,
            invariant=1,
            lang=self.template.language,
            title=title,
            author=self.receipt.seller.name,
            subject=f"{title}, {self.template.date_text(self.receipt.issued)}",
            creator="receipts",
        )
        top = 18 * mm
        body = Frame(
            _MARGIN,
            _FOOT,
            self.width,
            self.page[1] - _FOOT - top,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        document.addPageTemplates(PageTemplate(id="receipt", frames=[body], onPage=self._draw_top))
        document.build(self._story(), canvasmaker=self._canvas_maker())
        return buffer.getvalue()

    # ── the parts, from top to bottom ──

    def _story(self) -> list[Flowable]:
        return [
            self._head(),
            Spacer(0, 9 * mm),
            self._facts(),
            Spacer(0, 8 * mm),
            self._parties(),
            Spacer(0, 10 * mm),
            self._lines(),
            Spacer(0, 5 * mm),
            KeepTogether([self._sums(), *self._note()]),
        ]

    def _head(self) -> Table:
        logo = [self._text(self.logo, 19, bold=True, colour=self.accent)]
        if self.template.tagline:
            logo.append(self._text(self.template.tagline, 9, colour=self.soft))
        title = [self._text(self.labels.title, 19, right=True)]
        return self._grid([[logo, title]], (self.width * 0.64, self.width * 0.36))

    def _facts(self) -> Table:
        receipt, labels = self.receipt, self.labels
        facts = [
            (labels.number, receipt.number),
            (labels.issued, self.template.date_text(receipt.issued)),
            (labels.payment_method, receipt.payment_method),
            (labels.payment_reference, receipt.payment_reference),
        ]
        shown = [(label, value) for label, value in facts if value]
        cells = [[self._label(label), self._text(value, 10, bold=True)] for label, value in shown]
        shares = [min(max(len(label), len(value), 11), 24) for label, value in shown]
        table = self._grid([cells], tuple(self.width * share / sum(shares) for share in shares), pad=4 * mm)
        table.setStyle([("BACKGROUND", (0, 0), (-1, -1), self._pale()), ("ROUNDEDCORNERS", [5, 5, 5, 5])])
        return table

    def _parties(self) -> Table:
        seller = [self._label(self.labels.seller), *self._party(self.receipt.seller)]
        buyer = [self._label(self.labels.buyer), *self._party(self.receipt.buyer)]
        gap = 8 * mm
        half = (self.width - gap) / 2
        return self._grid([[seller, "", buyer]], (half, gap, half))

    def _party(self, party: Party) -> list[Text]:
        small = [*party.address, party.email, f"{self.labels.tax_id} {party.tax_id}" if party.tax_id else ""]
        return [self._text(party.name, 11, bold=True), *(self._text(line, 9.5) for line in small if line)]

    def _lines(self) -> Table:
        labels = self.labels
        numbers = (labels.quantity, labels.unit_price, labels.tax_rate, labels.amount)
        head = [self._label(labels.description), *(self._label(label, right=True) for label in numbers)]
        rows = [head, *(self._line(line) for line in self.receipt.lines)]
        widths = (self.width - sum(_NUMBER_COLUMNS), *_NUMBER_COLUMNS)
        table = Table(rows, colWidths=widths, repeatRows=1, splitInRow=1, hAlign="LEFT")
        table.setStyle([
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("LEFTPADDING", (1, 0), (-1, -1), 2 * mm),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 2.2 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4 * mm),
            ("LINEBELOW", (0, 0), (-1, 0), 1.2, colour(self.accent)),
            ("LINEBELOW", (0, 1), (-1, -1), 0.5, self._faint()),
        ])  # fmt: skip
        return table

    def _line(self, line: Line) -> list[Text]:
        template, currency = self.template, self.receipt.currency
        rounded = self.receipt.rounded(line.unit_price)
        # A unit price may be finer than the currency's smallest unit: then it is shown as it is.
        price = rounded if rounded == line.unit_price else line.unit_price
        numbers = (
            template.number_text(_shortened(Decimal(line.quantity))),
            template.money_text(price, currency),
            template.rate_text(line.tax_rate),
            template.money_text(self.receipt.amount(line), currency),
        )
        return [self._text(line.description, 9.5), *(self._text(number, 9.5, right=True) for number in numbers)]

    def _sums(self) -> Table:
        totals, template, currency = self.receipt.totals(), self.template, self.receipt.currency
        rows = [(self.labels.net, template.money_text(totals.net, currency))]
        for share in totals.shares:
            net = template.money_text(share.net, currency)
            text = self.labels.tax.format(rate=template.rate_text(share.rate), net=net)
            rows.append((text, template.money_text(share.tax, currency)))
        cells = [[self._text(n, 9.5, colour=self.soft), self._text(v, 9.5, right=True)] for n, v in rows]
        total = template.money_text(totals.total, currency)
        white = "#ffffff" if _is_dark(self.accent) else self.ink
        cells.append([
            self._text(self.labels.total, 11, bold=True, colour=white),
            self._text(total, 13, bold=True, right=True, colour=white),
        ])  # fmt: skip
        table = self._grid(cells, (52 * mm, 46 * mm), pad=1.2 * mm, align="RIGHT")
        table.setStyle([
            ("ROUNDEDCORNERS", [5, 5, 5, 5]),
            ("BOTTOMPADDING", (0, -2), (-1, -2), 3 * mm),
            ("LEFTPADDING", (0, 0), (-1, -1), 4 * mm),
            ("RIGHTPADDING", (-1, -1), (-1, -1), 4 * mm),
            ("RIGHTPADDING", (-1, 0), (-1, -2), 0),
            ("VALIGN", (0, -1), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, -1), (-1, -1), 2.2 * mm),
            ("BOTTOMPADDING", (0, -1), (-1, -1), 3 * mm),
            ("BACKGROUND", (0, -1), (-1, -1), colour(self.accent)),
        ])  # fmt: skip
        return table

    def _note(self) -> list[Flowable]:
        note = self.receipt.note
        return [Spacer(0, 8 * mm), self._text(note, 9.5, colour=self.soft)] if note else []

    # ── what every page carries ──

    def _draw_top(self, canvas: Canvas, document: Any) -> None:
        width, height = self.page
        canvas.saveState()
        canvas.setFillColor(colour(self.accent))
        canvas.rect(0, height - 4 * mm, width, 4 * mm, stroke=0, fill=1)
        if document.page > 1:
            canvas.setFillColor(colour(self.soft))
            canvas.setFont(self.face.regular, 8)
            text = self.face.plain(f"{self.labels.title} {self.receipt.number}")
            canvas.drawRightString(width - _MARGIN, height - 12 * mm, text)
        canvas.restoreState()

    def draw_foot(self, canvas: Canvas, page: int, pages: int) -> None:
        width = self.page[0]
        canvas.saveState()
        canvas.setStrokeColor(self._faint())
        canvas.setLineWidth(0.5)
        canvas.line(_MARGIN, _FOOT - 6 * mm, width - _MARGIN, _FOOT - 6 * mm)
        number = self._text(self.labels.page.format(page=page, pages=pages), 8, right=True, colour=self.soft)
        legal = self._text(self.template.footer, 8, colour=self.soft)
        for text, left, room in ((legal, _MARGIN, self.width - 32 * mm), (number, width - _MARGIN - 30 * mm, 30 * mm)):
            _, height = text.wrapOn(canvas, room, _FOOT)
            text.drawOn(canvas, left, _FOOT - 8 * mm - height)
        canvas.restoreState()

    def _canvas_maker(self) -> type[Canvas]:
        document = self

        class CountingCanvas(Canvas):  # type: ignore[misc]
            """Keeps the pages back until their number is known."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self._pages: list[dict[str, Any]] = []

            def showPage(self) -> None:  # noqa: N802 - ReportLab's name
                self._pages.append(dict(self.__dict__))
                self._startPage()

            def save(self) -> None:
                for number, page in enumerate(pages := self._pages, start=1):
                    self.__dict__.update(page)
                    document.draw_foot(self, number, len(pages))
                    super().showPage()
                super().save()

        return CountingCanvas

    # ── small pieces ──

    def _text(
        self, text: str, size: float, *, bold: bool = False, right: bool = False, colour: str | None = None
    ) -> Text:
        font = self.face.bold if bold else self.face.regular
        return Text(text, self.face, font, size, colour or self.ink, right=right)

    def _label(self, text: str, *, right: bool = False) -> Text:
        return self._text(text, 8, right=right, colour=self.soft)

    def _grid(self, rows: list[list[Any]], widths: tuple[float, ...], pad: float = 0, align: str = "LEFT") -> Table:
        table = Table(rows, colWidths=widths, hAlign=align, splitInRow=1)
        sides = [
            (side, (0, 0), (-1, -1), pad) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
        ]
        table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *sides])
        return table

    def _pale(self) -> Color:
        return _mixed(self.accent, 0.07)

    def _faint(self) -> Color:
        return _mixed(self.ink, 0.14)


def _mixed(written: str, part: float) -> Color:
    """So much of the colour on white paper; no transparency, which some printers mistreat."""
    return Color(*(1 - part + part * channel for channel in colour(written).rgb()))


def _is_dark(written: str) -> bool:
    red, green, blue = colour(written).rgb()
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.6)


def _shortened(number: Decimal) -> Decimal:
    """``2.00`` as ``2``; ``10`` stays ``10``."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
