"""A receipt adds up, reads back as it was written, and looks the same every time."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
import reportlab
from pypdf import PdfReader
from receipts import (
    DEFAULT,
    Labels,
    Line,
    Party,
    Receipt,
    ReceiptError,
    Template,
    TemplateError,
    render,
    spelling,
    typeface,
)

D = Decimal


def receipt(*lines: Line, **changes: object) -> Receipt:
    plain = Receipt(
        number="2027-000042",
        issued=date(2027, 5, 4),
        seller=Party("Casa do Rio", ("Rua das Flores 12", "Porto"), tax_id="PT 509 123 456"),
        buyer=Party("Ada Lovelace", email="ada@example.com"),
        lines=lines or (Line("Double room", 2, D("89.00"), D("0.06")),),
        currency="EUR",
        payment_reference="ch_1234",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def pages(document: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(document)).pages]


def text(document: bytes) -> str:
    return re.sub(r"\s+", " ", " ".join(pages(document)))


@pytest.fixture
def without_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine on which no fonts are installed."""
    monkeypatch.setattr(typeface, "_INSTALLED", ())
    typeface.typeface.cache_clear()


# ── sums ──


def test_tax_is_taken_out_of_prices_that_include_it() -> None:
    totals = receipt(Line("Room", 3, D("118.00"), D("0.06")), Line("Dinner", 1, D("64.50"), D("0.13"))).totals()

    assert [(share.rate, share.net, share.tax) for share in totals.shares] == [
        (D("0.13"), D("57.08"), D("7.42")),
        (D("0.06"), D("333.96"), D("20.04")),
    ]
    assert (totals.net, totals.tax, totals.total) == (D("391.04"), D("27.46"), D("418.50"))


def test_tax_is_added_to_prices_that_exclude_it() -> None:
    totals = receipt(Line("Room", 2, D("100.00"), D("0.19")), prices_include_tax=False).totals()

    assert (totals.net, totals.tax, totals.total) == (D("200.00"), D("38.00"), D("238.00"))


def test_tax_is_rounded_once_per_rate_and_half_up() -> None:
    lines = [Line("Coffee", 1, D("0.05"), D("0.10"))] * 3  # 0.005 each: rounded one by one they would make 0.03

    assert receipt(*lines, prices_include_tax=False).totals().tax == D("0.02")
    assert receipt().rounded(D("0.125")) == D("0.13")


@pytest.mark.parametrize(("currency", "expected"), [("EUR", "3.33"), ("JPY", "3"), ("KWD", "3.333")])
def test_sums_have_the_decimals_of_the_currency(currency: str, expected: str) -> None:
    total = receipt(Line("Share", D("0.3333"), D("10")), currency=currency).totals().total

    assert str(total) == expected


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Line("Room", 1, 89.0), "unit_price"),  # type: ignore[arg-type]
        (lambda: Line("Room", 1, D("NaN")), "unit_price"),
        (lambda: Line("Room", 1.5, D(1)), "quantity"),  # type: ignore[arg-type]
        (lambda: Line("Room", 1, D(1), D(19)), "tax_rate"),
        (lambda: receipt(currency="euro"), "currency"),
        (lambda: receipt(lines=()), "lines"),
        (lambda: receipt(number=" "), "number"),
    ],
)
def test_a_receipt_that_makes_no_sense_is_refused_by_field(make: object, field: str) -> None:
    with pytest.raises(ReceiptError, match=f"^{field}"):
        make()  # type: ignore[operator]


# ── the page ──


def test_everything_on_the_receipt_can_be_read_back() -> None:
    page = text(render(receipt(payment_method="Visa 4242", note="Thank you.")))

    for words in ("2027-000042", "4 May 2027", "Casa do Rio", "PT 509 123 456", "Ada Lovelace", "ada@example.com"):
        assert words in page
    for words in ("Double room", "€89.00", "€178.00", "Tax 6% on €167.92", "€10.08", "ch_1234", "Visa 4242"):
        assert words in page
    assert "Page 1 of 1" in page
    assert "Thank you." in page


@pytest.mark.parametrize(
    "name", ["Łódź", "Ærøskøbing", "Αθήνα", "Київ", "Þórshöfn", "Đorđe Šimić", "ᾠδή", "O'Neil & <b>Sons</b>"]
)
def test_names_of_europe_are_printed_in_their_own_letters(name: str) -> None:
    assert name in text(render(receipt(buyer=Party(name))))


def test_a_document_embeds_of_each_font_what_it_prints() -> None:
    def fonts(name: str) -> list[bytes]:
        page = PdfReader(BytesIO(render(receipt(buyer=Party(name)))), strict=True).pages[0]
        named = [font.get_object() for font in page["/Resources"]["/Font"].values()]
        embedded = [font for font in named if "/FontDescriptor" in font]
        assert all(font["/FontDescriptor"]["/FontFile2"].get_data()[:4] == b"\0\1\0\0" for font in embedded)
        return sorted(font["/FontDescriptor"]["/FontFile2"].get_data() for font in embedded)

    plain, greek = fonts("Zoë Løvelace"), fonts("Ελένη")

    assert len(plain) == len(greek) == 2
    assert all(len(each) < 40_000 for each in (*plain, *greek))
    assert set(plain) != set(greek)


def test_hundreds_of_different_letters_can_be_read_back() -> None:
    many = "".join(map(chr, (*range(0x391, 0x3A2), *range(0x3B1, 0x3CA), *range(0x400, 0x530), *range(0x1E00, 0x1E80))))

    assert many in text(render(receipt(note=many))).replace(" ", "")


def test_a_letter_without_a_glyph_is_simplified() -> None:
    page = text(render(receipt(Line("\ufb01ve \uff21\uff22 rooms\x07", 1, D(1)))))

    assert "five AB rooms" in page
    assert "Latin letters" not in page


NAMES = {
    "山田太郎": "ShanTianTaiLang",
    "김민수": "GimMinSu",
    "عمر خيام": "`mr khyam",
    "शर्मा": "srma",
    "Zoë \N{GRINNING FACE}": "Zoë :grinning:",
    "\N{LINEAR B SYLLABLE B008 A}\U0010ffff": "",
}


@pytest.mark.parametrize(("name", "spelled"), NAMES.items())
def test_a_name_that_no_font_has_is_spelled_in_latin_letters_and_the_receipt_says_so(
    name: str, spelled: str, without_fonts: None
) -> None:
    document = render(receipt(buyer=Party(name)))

    page = text(document)
    assert "?" not in page
    assert "\N{REPLACEMENT CHARACTER}" not in page
    assert spelled in page
    assert "Written here in Latin letters" in page
    metadata = PdfReader(BytesIO(document)).metadata
    assert metadata is not None
    assert name in metadata["/Keywords"]


def test_without_the_extra_a_letter_is_written_by_its_number(
    without_fonts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spelling, "_anyascii", None)

    page = text(render(receipt(buyer=Party("山 Yamada"))))

    assert "[U+5C71] Yamada" in page
    assert "Written here in Latin letters" in page


@pytest.mark.parametrize("name", ["Ελένη Παπαδοπούλου", "Владимир Соколов", "Nguyễn Thị Hồng", "Zoë Łuczak"])
def test_a_name_in_letters_of_ours_is_not_spelled(name: str, without_fonts: None) -> None:
    page = text(render(receipt(buyer=Party(name))))

    assert name in page
    assert "Latin letters" not in page


SHAPED = Path("/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf")


@pytest.mark.skipif(not SHAPED.is_file(), reason="fonts-noto-core is not installed")
@pytest.mark.parametrize("name", ["शर्मा", "عمر خيام"])
def test_with_a_shaping_engine_names_are_printed_in_their_own_script(name: str) -> None:
    pytest.importorskip("uharfbuzz", reason="receipts[shaping] is not installed")

    page = text(render(receipt(buyer=Party(name))))

    assert "Latin letters" not in page


def test_words_from_right_to_left_stand_in_their_order_where_they_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    face = typeface.typeface(DEFAULT.fonts)
    omar = "\N{ARABIC LETTER AIN}\N{ARABIC LETTER MEEM}\N{ARABIC LETTER REH} \N{ARABIC LETTER KHAH}"

    monkeypatch.setattr(typeface.Typeface, "_font_of", lambda *_: "a font")
    assert face._ordered(f"Mr {omar} Smith") == f"Mr {' '.join(reversed(omar.split()))} Smith"
    monkeypatch.setattr(typeface.Typeface, "_font_of", lambda *_: None)
    assert face._ordered(omar) == omar


def test_tax_is_not_spoken_of_where_there_is_none() -> None:
    page = text(render(receipt(Line("Room", 2, D("89.00")))))

    assert "Total paid €178.00" in page
    assert "Tax 0" not in page
    assert "Net" not in page


def test_a_fallback_font_prints_what_the_first_one_lacks(tmp_path: Path) -> None:
    vera = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    (tmp_path / "template.toml").write_text(f"[fonts]\nfallback = ['{vera}']\n")

    document = render(receipt(buyer=Party("to \N{INFINITY}")), Template.load(tmp_path / "template.toml"))

    fonts = PdfReader(BytesIO(document)).pages[0]["/Resources"]["/Font"].values()
    assert any("Vera" in font.get_object()["/BaseFont"] for font in fonts)
    assert "to \N{INFINITY}" in text(document)


def test_many_lines_take_several_numbered_pages_each_with_the_column_heads() -> None:
    document = pages(render(receipt(*[Line(f"Night {n}", 1, D("1234.56"), D("0.19")) for n in range(1, 81)])))

    assert len(document) > 2
    for number, page in enumerate(document, start=1):
        assert f"Page {number} of {len(document)}" in page
    assert all("Description" in page for page in document[:-1])
    assert sum(len(re.findall(r"Night \d+", page)) for page in document) == 80
    assert "€98,764.80" in document[-1]


@pytest.mark.parametrize("before", [0, 3, 30])
def test_a_line_that_no_page_can_hold_goes_on_over_several(before: int) -> None:
    rows = [Line(f"Night {n}", 1, D("1.00")) for n in range(before)]
    document = pages(render(receipt(*rows, Line("word " * 1500, 7, D("2.00")), Line("After all", 1, D("3.00")))))

    assert sum(page.count("word") for page in document) == 1500
    assert "".join(document).count("€14.00") == 1
    assert "After all" in document[-1] or "After all" in document[-2]
    for number, page in enumerate(document, start=1):
        assert f"Page {number} of {len(document)}" in page


def test_an_address_or_a_note_longer_than_a_page_is_printed_whole() -> None:
    address = tuple(f"Street {n}." for n in range(90))
    document = pages(
        render(receipt(seller=Party("Casa do Rio", address), note="\n".join(f"Note {n}." for n in range(90))))
    )

    for n in range(90):
        assert f"Street {n}." in "".join(document)
        assert f"Note {n}." in "".join(document)


def test_the_sums_stay_together() -> None:
    for count in range(10, 30):
        document = pages(render(receipt(*[Line(f"Night {n}", 1, D(1), D("0.19")) for n in range(count)], note="Bye.")))

        assert [all(word in page for word in ("Net", "Total paid", "Bye.")) for page in document][-1], count


@pytest.mark.parametrize("space", ["\xa0", "\u202f"])
def test_no_line_is_broken_where_a_space_forbids_it(space: str) -> None:
    together = f"12{space}345{space}678"
    for width in range(25, 45):
        page = pages(render(receipt(Line(f"{'w' * width} {together}", 1, D(1)))))[0]

        assert re.search(r"12.345.678", page), width


def test_long_names_wrap_instead_of_running_off() -> None:
    endless = "Donaudampfschifffahrtsgesellschaft" * 8
    document = render(receipt(Line("word " * 1500, 1, D(1)), buyer=Party(endless), seller=Party(endless, (endless,))))

    joined = "".join(pages(document)).replace("\n", "")
    assert joined.count(endless) >= 3
    assert joined.count("word") == 1500


def test_the_same_input_gives_the_same_bytes_whatever_was_rendered_before() -> None:
    first = render(receipt())
    render(receipt(buyer=Party("Αθήνα Київ Łódź")))

    assert render(receipt()) == first


def test_receipts_are_rendered_in_parallel_threads() -> None:
    expected, results = render(receipt()), []
    threads = [threading.Thread(target=lambda: results.append(render(receipt()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [expected] * 8


def test_fonts_are_cut_for_several_receipts_at_once() -> None:
    interval = sys.getswitchinterval()
    accented = "".join(map(chr, range(0x1E00, 0x1E90)))
    names = [accented[n:] + accented[:n] for n in range(32)]
    results: dict[str, bytes] = {}
    start = threading.Barrier(8)
    alone = {name: render(receipt(buyer=Party(name))) for name in names}

    def work(part: list[str]) -> None:
        start.wait(10)
        for name in part:
            results[name] = render(receipt(buyer=Party(name)))

    threads = [threading.Thread(target=work, args=(names[n::8],)) for n in range(8)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    for name in names:
        assert results[name] == alone[name]


def test_the_file_says_what_it_is() -> None:
    reader = PdfReader(BytesIO(render(receipt(), replace(DEFAULT, language="pt"))))

    assert reader.metadata is not None
    assert reader.metadata.title == "Receipt 2027-000042"
    assert reader.metadata.author == "Casa do Rio"
    assert reader.metadata.subject == "Receipt 2027-000042, 4 May 2027"
    assert reader.trailer["/Root"]["/Lang"] == "pt"


def test_the_file_says_it_in_any_script() -> None:
    metadata = PdfReader(BytesIO(render(receipt(seller=Party("Ξενία (Αθήνα)"))))).metadata

    assert metadata is not None
    assert metadata.author == "Ξενία (Αθήνα)"


# ── templates ──

GERMAN = """
logo_text = "Meridian Stays"
accent = "#0f766e"
page_size = "letter"
language = "de"
decimal_separator = ","
group_separator = "."
money_format = "{amount} {symbol}"
date_format = "{day}. {month} {year}"
footer = "Meridian Stays GmbH, HRB 12345"

[labels]
title = "Quittung"
tax = "{rate} MwSt. auf {net}"
page = "Seite {page} von {pages}"
months = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli",
          "August", "September", "Oktober", "November", "Dezember"]
"""


def test_a_template_changes_words_numbers_and_paper(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text(GERMAN, "utf-8")

    document = render(receipt(Line("Zimmer", 10, D("1234.50"), D("0.07"))), Template.load(tmp_path / "de.toml"))

    page = text(document)
    for words in ("Quittung", "4. Mai 2027", "12.345,00 €", "7 % MwSt. auf 11.537,38 €", "Seite 1 von 1", "HRB 12345"):
        assert words in page
    assert PdfReader(BytesIO(document)).pages[0].mediabox.width == 612


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("colour = '#000000'", "colour: there is no such key"),
        ("accent = 'teal'", "accent: write a colour as #rrggbb"),
        ("accent = 7", "accent: give a text"),
        ("page_size = 'A3'", "page_size: choose one of A4, letter"),
        ("money_format = '{price}'", "money_format: .* may use {symbol}, {code}, {amount}"),
        ("labels = 'German'", "labels: write it as a table"),
        ("[labels]\nsum = 'x'", "labels.sum: there is no such key"),
        ("[labels]\nmonths = ['Jan']", "labels.months: give the names of 12 months"),
        ("[labels]\ntax = '{vat}'", "labels.tax: "),
        ("[fonts]\nregular = 'none.ttf'", "fonts.regular: there is no file"),
        ("accent =", "this is not TOML"),
    ],
)
def test_a_wrong_template_names_the_file_and_the_key(tmp_path: Path, toml: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(toml)

    with pytest.raises(TemplateError, match=message) as refused:
        Template.load(path)
    assert str(refused.value).startswith(str(path))


def test_a_template_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read"):
        Template.load(tmp_path / "none.toml")


def test_a_font_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fake.ttf").write_bytes(b"no font at all")
    (tmp_path / "t.toml").write_text("[fonts]\nregular = 'fake.ttf'\n")

    with pytest.raises(TemplateError, match=r"fake\.ttf is not a TrueType font"):
        render(receipt(), Template.load(tmp_path / "t.toml"))


def test_labels_can_be_given_in_code() -> None:
    page = text(render(receipt(), Template(labels=Labels(title="Kvittering"))))

    assert "Kvittering" in page
