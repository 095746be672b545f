"""How a receipt looks and which words it uses: plain data, also from a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

PAGE_SIZES = {"A4": (595.2756, 841.8898), "letter": (612.0, 792.0)}
"""In points, upright."""

_SYMBOLS = {
    "EUR": "€",
    "GBP": "£",
    "USD": "$",
    "JPY": "¥",
    "PLN": "zł",
    "CZK": "Kč",
    "INR": "₹",
    "KRW": "₩",
    "UAH": "₴",
}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ENGLISH_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


class TemplateError(ValueError):
    """A template cannot be used; the message names the file, the key and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words on the page, in the reader's language."""

    title: str = "Receipt"
    number: str = "Receipt number"
    issued: str = "Issued"
    payment_reference: str = "Payment reference"
    payment_method: str = "Paid by"
    seller: str = "From"
    buyer: str = "Billed to"
    tax_id: str = "Tax ID"
    description: str = "Description"
    quantity: str = "Qty"
    unit_price: str = "Price"
    tax_rate: str = "Tax"
    amount: str = "Amount"
    net: str = "Net"
    tax: str = "Tax {rate} on {net}"
    total: str = "Total paid"
    page: str = "Page {page} of {pages}"
    spelled: str = "Written here in Latin letters, for want of a typeface: {names}."
    months: tuple[str, ...] = tuple(_ENGLISH_MONTHS)

    def __post_init__(self) -> None:
        _check_placeholders("labels.tax", self.tax, rate="", net="")
        _check_placeholders("labels.page", self.page, page=1, pages=1)
        _check_placeholders("labels.spelled", self.spelled, names="")
        if len(self.months) != 12:
            raise TemplateError(f"labels.months: give the names of 12 months, not {len(self.months)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fonts:
    """TrueType files; by default the Noto Sans of this package. ``fallback`` serves the letters it lacks."""

    regular: Path | None = None
    bold: Path | None = None
    fallback: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Everything about a receipt that is the same for all receipts of a house."""

    logo_text: str = ""
    """Nothing means the seller's name."""
    tagline: str = ""
    accent: str = "#1f5f7a"
    ink: str = "#1c2430"
    soft: str = "#667085"
    page_size: str = "A4"
    language: str = "en"
    decimal_separator: str = "."
    group_separator: str = ","
    money_format: str = "{symbol}{amount}"
    """``{symbol}`` is the currency's sign, or its code where it has none; ``{code}`` is always the code."""
    date_format: str = "{day} {month} {year}"
    """``{month}`` is a name, ``{month_number:02}`` and ``{day:02}`` are digits."""
    footer: str = ""
    """What the law wants on every page."""
    labels: Labels = field(default_factory=Labels)
    fonts: Fonts = field(default_factory=Fonts)

    def __post_init__(self) -> None:
        for key in ("accent", "ink", "soft"):
            if _COLOUR.fullmatch(getattr(self, key)) is None:
                raise TemplateError(f"{key}: write a colour as #rrggbb, not {getattr(self, key)!r}.")
        if self.page_size not in PAGE_SIZES:
            raise TemplateError(f"page_size: choose one of {', '.join(PAGE_SIZES)}, not {self.page_size!r}.")
        _check_placeholders("money_format", self.money_format, symbol="", code="", amount="")
        _check_placeholders("date_format", self.date_format, day=1, month="", month_number=1, year=1)

    @classmethod
    def load(cls, path: Path | str) -> Template:
        """Read a TOML file. Font files are looked for beside it. Raises ``TemplateError`` that names the wrong key."""
        path = Path(path)
        try:
            return cls._from(tomllib.loads(path.read_text("utf-8")), path.parent)
        except OSError as error:
            raise TemplateError(f"{path}: the template cannot be read: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TemplateError(f"{path}: this is not TOML: {error}.") from error
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}") from error

    @classmethod
    def _from(cls, data: Mapping[str, Any], directory: Path) -> Template:
        labels, fonts = _table(data, "labels"), _table(data, "fonts")
        plain = {key: value for key, value in data.items() if key not in {"labels", "fonts"}}
        if "months" in labels:
            labels["months"] = _texts("labels.months", labels["months"])
        return cls(
            **_known(cls, plain, ""),
            labels=Labels(**_known(Labels, labels, "labels.")),
            fonts=Fonts(**_known(Fonts, _font_paths(fonts, directory), "fonts.")),
        )

    def number_text(self, number: Decimal) -> str:
        """A number with this template's separators."""
        whole, _, decimals = f"{number:,f}".partition(".")
        text = whole.replace(",", self.group_separator)
        return f"{text}{self.decimal_separator}{decimals}" if decimals else text

    def money_text(self, amount: Decimal, currency: str) -> str:
        symbol = _SYMBOLS.get(currency, f"{currency} " if self.money_format.startswith("{symbol}") else currency)
        text = self.money_format.format(symbol=symbol, code=currency, amount=self.number_text(abs(amount)))
        return f"\N{MINUS SIGN}{text}" if amount < 0 else text

    def rate_text(self, rate: Decimal) -> str:
        percent = (rate * 100).normalize()
        return f"{self.number_text(percent)} %" if self.language != "en" else f"{self.number_text(percent)}%"

    def date_text(self, day: date) -> str:
        month = self.labels.months[day.month - 1]
        return self.date_format.format(day=day.day, month=month, month_number=day.month, year=day.year)


def _known(kind: type, data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    names = [entry.name for entry in fields(kind)]
    for key, value in data.items():
        if key not in names:
            raise TemplateError(f"{prefix}{key}: there is no such key. The keys are {', '.join(names)}.")
        if not isinstance(value, str | tuple | Path):
            raise TemplateError(f"{prefix}{key}: give a text in quotation marks, not {value!r}.")
    return dict(data)


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise TemplateError(f"{key}: write it as a table, [{key}].")
    return dict(table)


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TemplateError(f"{key}: give a list of texts.")
    return tuple(value)


def _font_paths(fonts: dict[str, Any], directory: Path) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for key, value in fonts.items():
        names = _texts(f"fonts.{key}", value if key == "fallback" else [value])
        files = tuple(directory / name for name in names)
        for file in files:
            if not file.is_file():
                raise TemplateError(f"fonts.{key}: there is no file {file}.")
        paths[key] = files if key == "fallback" else files[0]
    return paths


def _check_placeholders(key: str, text: str, **known: object) -> None:
    try:
        text.format(**known)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        names = ", ".join(f"{{{name}}}" for name in known)
        raise TemplateError(f"{key}: {text!r} may use {names} and nothing else.") from error


DEFAULT = Template()
