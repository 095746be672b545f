"""A letter as the bytes that go over the wire (RFC 5322, RFC 2045): a text, the same as HTML, and perhaps a PDF.

The library's older policy composes it: the newer one parses every header that it is given, which takes longer than all
the rest of a letter. Everything is in seven bits, so that any mail server takes it; only an address that is not ASCII
stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.header import Header
from email.headerregistry import Address
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import formataddr

LINE = 78  # RFC 5322, section 2.1.1, without the line's end
WIRE = compat32.clone(linesep="\r\n", max_line_length=LINE)


def compose(
    headers: Mapping[str, str], identity: str, text: str, html: str, receipt: MIMEApplication | None = None
) -> bytes:
    """The letter with these headers; `identity` is letters and digits that occur in no other letter."""
    texts = [MIMEText(text, "plain", "utf-8"), MIMEText(html, "html", "utf-8")]
    letter = MIMEMultipart("alternative", f"texts-{identity}", texts)
    if receipt is not None:
        letter = MIMEMultipart("mixed", f"letter-{identity}", [letter, receipt])
    for name, value in headers.items():
        letter[name] = value
    return letter.as_bytes(policy=WIRE)


def pdf(content: bytes, name: str) -> MIMEApplication:
    """A PDF that goes with a letter."""
    attached = MIMEApplication(content, "pdf")
    attached.add_header("Content-Disposition", "attachment", filename=name)
    return attached


def line(name: str, text: str) -> str:
    """The value of a header `name` that people read; raises ValueError for a text of several lines."""
    _check(text)
    return text if _is_plain(text) else _words(name, text)


def person(name: str, shown: str, address: str) -> str:
    """The value of a header `name` that names one person; raises ValueError for what is no address."""
    _check(shown)
    spec = Address(addr_spec=address).addr_spec
    if _is_plain(shown) and spec.isascii():
        return formataddr((shown, spec))
    # How the older policy is told bytes that it is to leave alone, as it then leaves the header's lines.
    written = f"<{spec.encode().decode('ascii', 'surrogateescape')}>"
    return f"{_words(name, shown)}{WIRE.linesep} {written}" if shown else written


def _words(name: str, text: str) -> str:
    """Encoded words (RFC 2047), on as many lines as they need."""
    return Header(text, "utf-8", header_name=name).encode(linesep=WIRE.linesep)


def _is_plain(text: str) -> bool:
    """Whether it is ASCII that no reader takes for encoded words (RFC 2047)."""
    return text.isascii() and "=?" not in text


def _check(text: str) -> None:
    if not text.isprintable():
        raise ValueError(f"a header is printed on one line: {text!r}")
