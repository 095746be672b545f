"""A letter as the bytes that go over the wire (RFC 5322, RFC 2045): a text, the same as HTML, and perhaps a PDF.

Put together here, since every part is of a known kind: the library would look at each header and each line of a body,
which takes three times as long. Everything is in seven bits, so that any mail server takes it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from email.header import Header
from email.utils import formataddr, quote

from hotels.addresses import plain

LINE = 78  # RFC 5322, section 2.1.1, without the line's end
ENCODED_LINE = 76  # RFC 2045, section 6.8
END = "\r\n"


def compose(headers: Mapping[str, str], text: str, html: str, receipt: str = "") -> bytes:
    """The letter with these headers; `receipt` is a part of it, as `pdf` makes one."""
    texts = [
        _encoded(f'text/{kind}; charset="utf-8"', each.encode()) for kind, each in (("plain", text), ("html", html))
    ]
    letter = _multipart("alternative", "texts", texts)
    if receipt:
        letter = _multipart("mixed", "letter", [letter, receipt])
    written = [_header(name, value) for name, value in headers.items()]
    return "".join([*written, _header("MIME-Version", "1.0"), letter]).encode("ascii")


def pdf(content: bytes, name: str) -> str:
    """A PDF that goes with a letter."""
    disposition = _header("Content-Disposition", f'attachment; filename="{quote(name)}"')
    return disposition + _encoded("application/pdf", content)


def line(name: str, text: str) -> str:
    """The value of a header `name` that people read; raises ValueError for a text of several lines."""
    _check(text)
    return text if _is_plain(text) else _words(name, text)


def person(name: str, shown: str, address: str) -> str:
    """The value of a header `name` that names one person; raises ValueError for what is no address."""
    _check(shown)
    if _is_plain(shown):
        return formataddr((shown, plain(address)))
    return f"{_words(name, shown)}{END} <{plain(address)}>"


def _multipart(kind: str, boundary: str, parts: Sequence[str]) -> str:
    # No part is more than headers and base64, of which no line begins with two hyphens: the same boundary divides all
    # letters.
    head = _header("Content-Type", f'multipart/{kind}; boundary="{boundary}"')
    opened = "".join(f"--{boundary}{END}{part}{END}" for part in parts)
    return f"{head}{END}{opened}--{boundary}--{END}"


def _encoded(kind: str, content: bytes) -> str:
    body = b2a_base64(content, newline=False).decode("ascii")
    lines = [body[at : at + ENCODED_LINE] for at in range(0, len(body), ENCODED_LINE)]
    headers = _header("Content-Type", kind) + _header("Content-Transfer-Encoding", "base64")
    return END.join([headers, *lines, ""])


def _header(name: str, value: str) -> str:
    """A header on one line, as most are, or folded by the library."""
    if len(name) + len(value) + 2 > LINE or not (value.isascii() and value.isprintable()):
        value = Header(value, header_name=name, maxlinelen=LINE).encode(linesep=END)
    return f"{name}: {value}{END}"


def _words(name: str, text: str) -> str:
    """Encoded words (RFC 2047), on as many lines as they need."""
    return Header(text, "utf-8", header_name=name).encode(linesep=END)


def _is_plain(text: str) -> bool:
    """Whether it is ASCII that no reader takes for encoded words (RFC 2047)."""
    return text.isascii() and "=?" not in text


def _check(text: str) -> None:
    if not text.isprintable():
        raise ValueError(f"a header is printed on one line: {text!r}")
