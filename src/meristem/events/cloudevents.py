"""CloudEvents 1.0 on the wire: the JSON format, and an event's attributes beside its data.

In structured mode an event is one body in the JSON format. In binary mode its attributes are headers, and its data is
the body; each protocol's binding says how such a header is called.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from meristem.contracts.codec import encode
from meristem.errors import Undeliverable
from meristem.events.envelope import Envelope

STRUCTURED: Final = "application/cloudevents+json"
"""The content type of an event in the JSON format."""
_ANY_FORMAT: Final = "application/cloudevents"
_ATTRIBUTES: Final = tuple(
    name for name in Envelope.__struct_fields__ if not name.startswith("data_") and name != "data"
)
LONGEST: Final = 800
"""Bytes of what names an event, at most: together they are a key of PostgreSQL, which takes 2704."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # CloudEvents 1.0.2, section 3.1: in a String
_PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_AROUND: Final = 1024  # bytes of a request beside the event itself
_NOTHING: Final = msgspec.Raw(b"null")
_decode: Final = msgspec.json.Decoder(Envelope).decode


def write_json(envelope: Envelope) -> bytes:
    """The envelope in the JSON format."""
    return encode(envelope)


def sent_size(body: bytes, largest: int) -> int:
    """How many bytes an event has as it is sent to another process: there it stands in other JSON, which escapes some.

    It is counted only where it comes near the `largest` that may be.
    """
    size = len(body)
    return size if size <= largest // 2 else size + _AROUND + body.count(b'"') + body.count(b"\\")


def read_json(body: bytes | str) -> Envelope:
    """Read the JSON format (attributes of extensions that we don't know are dropped); raises Undeliverable."""
    try:
        if isinstance(body, bytes):
            body.decode()  # what no field is made of is not looked at by the decoder, and stays in the data
        envelope = _decode(body)
        _check(envelope)
        if envelope.data_base64:
            if envelope.data != _NOTHING:
                raise Undeliverable("not a CloudEvent 1.0 in JSON: it has data and data_base64; send one of them")
            return _with_data(envelope, envelope.data_base64)
        if not is_json(envelope.datacontenttype) and bytes(envelope.data).startswith(b'"'):
            # Text that is no JSON stands there as a string of JSON (JSON format 1.0.2, section 3.1).
            return _with_data(envelope, msgspec.json.decode(envelope.data, type=str).encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Undeliverable(f"not a CloudEvent 1.0 in JSON: {error}") from error
    return envelope


def write_attributes(envelope: Envelope) -> dict[str, str]:
    """All that an event says beside its data, as text by the names of the attributes."""
    found = {"specversion": "1.0"}
    for name in _ATTRIBUTES:
        if value := getattr(envelope, name):
            found[name] = value if isinstance(value, str) else _timestamp(value)
    return found


def read_attributes(attributes: Mapping[str, str], data: bytes) -> Envelope:
    """An event of such attributes (extensions that we don't know are dropped) and data; raises Undeliverable."""
    known = {name: value for name, value in attributes.items() if name == "specversion" or name in _ATTRIBUTES}
    try:
        envelope = msgspec.convert(known, Envelope, strict=False)
    except msgspec.ValidationError as error:
        raise Undeliverable(f"not a CloudEvent 1.0: {error}") from error
    _check(envelope)
    return _with_data(envelope, data)


def is_json(media_type: str) -> bool:
    """Whether data of this `datacontenttype` is JSON, as it is where none is said (JSON format 1.0.2, section 3.1)."""
    media = media_type.partition(";")[0].strip().lower()
    return not media or media.endswith(("/json", "+json"))


def data_of(envelope: Envelope) -> bytes:
    """The data by itself, as its `datacontenttype` says; nothing where there is none."""
    if envelope.data_base64:
        return envelope.data_base64
    is_missing = envelope.data == _NOTHING and not (envelope.datacontenttype and is_json(envelope.datacontenttype))
    return b"" if is_missing else bytes(envelope.data)


class WireEvent(NamedTuple):
    """An event as a protocol carries it: what its body is, what is said beside that, and the body."""

    content_type: str
    attributes: dict[str, str]
    body: bytes


def to_message(envelope: Envelope, *, binary: bool) -> WireEvent:
    """An event for a protocol: its attributes beside its data, or all of it as one body."""
    if not binary:
        return WireEvent(STRUCTURED, {}, write_json(envelope))
    return WireEvent(envelope.datacontenttype, write_attributes(envelope), data_of(envelope))


def from_message(message: WireEvent) -> Envelope:
    """Read an event in either mode; raises Undeliverable for what is none, or names itself as no database takes it."""
    content_type, attributes, body = message
    media = content_type.partition(";")[0].strip().lower()
    if media.startswith(_ANY_FORMAT):
        if media not in (STRUCTURED, _ANY_FORMAT):
            raise Undeliverable(f"it is written as {media}, and only {STRUCTURED} can be read")
        envelope = read_json(body)
    elif "specversion" in attributes:
        envelope = read_attributes({"datacontenttype": content_type} | attributes, body)
    else:
        envelope = read_json(body)
    _check_foreign(envelope)
    return envelope


def to_headers(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Attributes as headers, percent-encoded as the HTTP binding says (1.0.2, section 3.1.3.2)."""
    return {f"{prefix}{name}": quote(value, safe=_PLAIN) for name, value in attributes.items()}


def from_headers(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The attributes among headers, whose names are compared without case; raises Undeliverable."""
    found = ((name.lower(), value) for name, value in headers.items())
    try:
        return {name.removeprefix(prefix): _decoded(value) for name, value in found if name.startswith(prefix)}
    except UnicodeDecodeError as error:
        raise Undeliverable(f"a header is percent-encoded and no UTF-8: {error}") from error


def canonical(name: str, value: object) -> str:
    """An attribute that a protocol carries in a type of its own, as text (CloudEvents 1.0.2, section 3.1).

    A number for the `time` is AMQP's timestamp: milliseconds since the epoch. Raises Undeliverable.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    try:
        if name == "time" and isinstance(value, int):
            value = datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Undeliverable(f"not a CloudEvent 1.0: its time is {value}: {error}") from error
    return _timestamp(value) if isinstance(value, datetime) else str(value)


def _timestamp(value: datetime) -> str:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat().replace("+00:00", "Z")


def _decoded(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':  # as releases of the bindings before 1.0.1 wrote them
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote(value, errors="strict")


def _with_data(envelope: Envelope, data: bytes) -> Envelope:
    """With data that came as bytes: JSON as it stands, anything else as it is."""
    text, other = _NOTHING, data
    if data and is_json(envelope.datacontenttype):
        try:
            data.decode()
            # Looked through: it is put into JSON as it stands.
            text, other = msgspec.json.decode(data, type=msgspec.Raw).copy(), b""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # whoever handles it says so; until then nothing of it is lost
    return msgspec.structs.replace(envelope, data=text, data_base64=other)


def _check(envelope: Envelope) -> None:
    if not (envelope.id and envelope.source and envelope.type):
        raise Undeliverable("a CloudEvent needs an id, a source and a type that are not empty")


def is_sayable(text: str) -> bool:
    """Whether a text may be an attribute: no control character is in it (CloudEvents 1.0.2, section 3.1)."""
    return _FORBIDDEN.search(text) is None


def _check_foreign(envelope: Envelope) -> None:
    for name in _ATTRIBUTES:
        value = getattr(envelope, name)
        if isinstance(value, str) and not is_sayable(value):
            raise Undeliverable(f"not a CloudEvent 1.0: its {name} has a control character")
    for name in ("id", "source", "type", "subject"):
        if len(getattr(envelope, name).encode()) > LONGEST:
            raise Undeliverable(f"its {name} is longer than {LONGEST} bytes")
