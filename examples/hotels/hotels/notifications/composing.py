"""A letter as the bytes that go over the wire (RFC 5322, RFC 2045): a text, the same as HTML, and perhaps a PDF.

The library's older policy composes it: the newer one parses every header that it is given, which takes longer than all
the rest of a letter. Everything is in seven bits, so that any mail server takes it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.policy import Compat32
from email.utils import formataddr
from io import BytesIO

from hotels.addresses import plain

LINE = 78  # RFC 5322, section 2.1.1, without the line's end
ENCODED_LINE = 76  # RFC 2045, section 6.8
END = "\r\n"


class Wire(Compat32):
    """The older policy, which takes a header apart to fold it; most are one short line and stay as they are."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if len(name) + len(value) + 2 <= LINE and value.isascii() and value.isprintable():
            return f"{name}: {value}{END}".encode("ascii")
        return super().fold_binary(name, value)


class Printer(BytesGenerator):
    """Writes a body in one go: it is lines of base64, which the library would tell apart and write one by one.

    The library looks for these methods by the part's type. Found or not, what is written is the same.
    """

    def _handle_text(self, part: Message) -> None:
        self.write(str(part.get_payload()))

    _handle_application = _handle_text


WIRE = Wire(linesep=END, max_line_length=LINE)


def compose(headers: Mapping[str, str], text: str, html: str, receipt: Message | None = None) -> bytes:
    """The letter with these headers."""
    texts = [
        _encoded(f'text/{kind}; charset="utf-8"', each.encode()) for kind, each in (("plain", text), ("html", html))
    ]
    letter = _multipart("alternative", "texts", texts)
    if receipt is not None:
        letter = _multipart("mixed", "letter", [letter, receipt])
    letter["MIME-Version"] = "1.0"
    for name, value in headers.items():
        letter[name] = value
    written = BytesIO()
    Printer(written, policy=WIRE).flatten(letter)
    return written.getvalue()


def pdf(content: bytes, name: str) -> Message:
    """A PDF that goes with a letter."""
    attached = _encoded("application/pdf", content)
    attached.add_header("Content-Disposition", "attachment", filename=name)
    return attached


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


def _multipart(kind: str, boundary: str, parts: list[Message]) -> Message:
    # No part is more than headers and base64, in which two hyphens never stand: the same boundary divides all letters.
    whole = Message(WIRE)
    whole["Content-Type"] = f'multipart/{kind}; boundary="{boundary}"'
    for part in parts:
        whole.attach(part)
    return whole


def _encoded(kind: str, content: bytes) -> Message:
    body = b2a_base64(content, newline=False).decode("ascii")
    part = Message(WIRE)
    part["Content-Type"] = kind
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload("".join([body[at : at + ENCODED_LINE] + END for at in range(0, len(body), ENCODED_LINE)]))
    return part


def _words(name: str, text: str) -> str:
    """Encoded words (RFC 2047), on as many lines as they need."""
    return Header(text, "utf-8", header_name=name).encode(linesep=END)


def _is_plain(text: str) -> bool:
    """Whether it is ASCII that no reader takes for encoded words (RFC 2047)."""
    return text.isascii() and "=?" not in text


def _check(text: str) -> None:
    if not text.isprintable():
        raise ValueError(f"a header is printed on one line: {text!r}")
