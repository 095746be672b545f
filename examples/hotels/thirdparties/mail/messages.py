"""A stored message as people and programs read it: its headers decoded, its text, its attachments."""

from __future__ import annotations

import email.policy
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.utils import parsedate_to_datetime

_PARSER = BytesParser(policy=email.policy.default)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
# A page that shows these types could run a script in them; they are only ever downloaded.
_PLAIN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of messages shows of each."""

    id: str
    recipient: str
    sender: str
    subject: str
    received: datetime
    size: int
    attachments: int


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message."""

    summary: Summary
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    attachments: list[Attachment]


def parse(identity: str, raw: bytes, received: datetime) -> Message:
    """Read a message of any shape; what cannot be decoded is shown as well as it can be."""
    parsed = _PARSER.parsebytes(raw)
    attachments = [_attachment(part, number) for number, part in enumerate(_files(parsed), start=1)]
    summary = Summary(
        id=identity,
        recipient=_header(parsed, "Delivered-To"),
        sender=_header(parsed, "From"),
        subject=_header(parsed, "Subject"),
        received=received,
        size=len(raw),
        attachments=len(attachments),
    )
    headers = [(name, str(value)) for name, value in parsed.items()]
    return Message(summary, headers, _body(parsed, "plain"), _body(parsed, "html"), attachments)


def sent_at(message: Message) -> datetime | None:
    """The moment in the Date header, in UTC; nothing if there is none that can be read."""
    text = next((value for name, value in message.headers if name.lower() == "date"), None)
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def header_of(raw: bytes, name: str) -> str:
    """One header of a message that has not been stored yet; empty if it is missing."""
    head = _END_OF_HEAD.split(raw, 1)[0]
    return _header(_PARSER.parsebytes(head, headersonly=True), name)


def _header(message: EmailMessage, name: str) -> str:
    return str(message.get(name, "")).strip()


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return _text(part) if part is not None else None


def _text(part: MIMEPart) -> str:
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except LookupError:  # a character set that Python does not know
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _files(message: EmailMessage) -> list[EmailMessage]:
    """Every part that is neither a container nor one of the two shown bodies, wherever it is nested."""
    bodies = [message.get_body((kind,)) for kind in ("plain", "html")]
    parts = [part for part in message.walk() if not part.is_multipart() and part not in bodies]
    return [part for part in parts if isinstance(part, EmailMessage)]


def _attachment(part: EmailMessage, number: int) -> Attachment:
    payload = part.get_payload(decode=True)
    filename = (part.get_filename() or f"part-{number}").replace("\\", "/").rsplit("/", 1)[-1]
    content = payload if isinstance(payload, bytes) else b""
    return Attachment("".join(c for c in filename if c.isprintable()), part.get_content_type() or _PLAIN, content)
