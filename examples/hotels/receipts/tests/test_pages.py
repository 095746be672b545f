"""A receipt of several pages breaks where a reader would break it, and leaves nothing behind."""

from __future__ import annotations

import gc
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest
from pypdf import PdfReader
from receipts import DEFAULT, Labels, Line, Party, Receipt, TemplateError, render
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

HEAD = "Description"


def receipt(*lines: Line, address: tuple[str, ...] = ("Rua das Flores 12", "Porto"), note: str = "") -> Receipt:
    return Receipt(
        number="2027-000042",
        issued=date(2027, 5, 4),
        seller=Party("Casa do Rio", address),
        buyer=Party("Ada Lovelace"),
        lines=lines,
        currency="EUR",
        note=note,
    )


def pages(receipt: Receipt) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(render(receipt))).pages]


def test_a_line_that_a_page_can_hold_is_not_divided_and_the_heads_stand_once_on_each_page() -> None:
    document = pages(receipt(*[Line(f"Night{n} " * 90, 1, Decimal(1)) for n in range(12)]))

    assert len(document) > 2
    assert [page.count(HEAD) for page in document] == [1] * len(document)
    for n in range(12):
        assert sorted(page.count(f"Night{n} ") + page.count(f"Night{n}\n") for page in document)[-2:] == [0, 90]


@pytest.mark.parametrize("description", ["Double room", "Double room " * 8])
def test_no_heads_stand_on_a_page_without_a_line(description: str) -> None:
    for count in range(25, 50):
        document = pages(receipt(Line(description, 1, Decimal(1)), address=tuple(f"S {n}" for n in range(count))))

        assert [HEAD in page for page in document] == ["Double room" in page for page in document], count


def test_a_line_taller_than_a_page_begins_where_there_is_room_and_its_numbers_stand_there() -> None:
    document = pages(receipt(Line("First", 1, Decimal(1)), Line("word " * 1500, 7, Decimal(2))))

    assert document[0].index("First") < document[0].index("word")
    assert "€14.00" in document[0]
    assert all(page.count(HEAD) == 1 for page in document)


def test_the_sums_and_a_note_that_one_page_cannot_hold_begin_on_a_page_of_their_own() -> None:
    document = pages(
        receipt(Line("Double room", 1, Decimal(1), Decimal("0.19")), note="\n".join(f"Note {n}." for n in range(90)))
    )

    assert "Total paid" not in document[0]
    assert all(words in document[1] for words in ("Net", "Total paid", "Note 0."))
    assert "Note 89." in document[2]


def test_heads_that_fill_a_page_are_refused() -> None:
    template = replace(DEFAULT, labels=Labels(description="word " * 1500))

    with pytest.raises(TemplateError, match="^labels: "):
        render(receipt(Line("Double room", 1, Decimal(1))), template)


def test_a_document_names_no_font_that_it_does_not_hold() -> None:
    document = PdfReader(BytesIO(render(receipt(Line("Double room", 1, Decimal(1)))))).pages[0]

    assert all("/FontDescriptor" in font.get_object() for font in document["/Resources"]["/Font"].values())


def test_a_rendering_is_freed_without_the_collector_of_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        render(receipt(Line("word " * 1500, 1, Decimal(1)), note="Thank you."))
        left = [thing for thing in gc.get_objects() if issubclass(type(thing), Canvas)]
    finally:
        gc.enable()

    assert left == []
