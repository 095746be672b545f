"""CloudEvents 1.0 on the wire: the JSON format, and an event's attributes beside its data.

In structured mode an event is one body in the JSON format. In binary mode its attributes are headers, and its data is
the body; each protocol's binding says how such a header is called.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from meristem.contracts.codec import encode
from meristem.errors import Undeliverable
from meristem.events.envelope import Envelope

STRUCTURED: Final = "application/cloudevents+json"
"""The content type of an event in the JSON format."""
_ATTRIBUTES: Final = tuple(name for name in Envelope.__struct_fields__ if name != "data")
_PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_decode: Final = msgspec.json.Decoder(Envelope).decode


class _Encoded(msgspec.Struct):
    data_base64: str | None = None


def write_json(envelope: Envelope) -> bytes:
    """The envelope in the JSON format."""
    return encode(envelope)


def read_json(body: bytes | str) -> Envelope:
    """Read the JSON format (attributes of extensions that we don't know are dropped); raises Undeliverable."""
    try:
        envelope = _decode(body)
        encoded = msgspec.json.decode(body, type=_Encoded).data_base64 if "data_base64" in _text(body) else None
        data = envelope.data if encoded is None else msgspec.Raw(base64.b64decode(encoded, validate=True))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise Undeliverable(f"not a CloudEvent 1.0 in JSON: {error}") from error
    _check(envelope)
    return envelope if encoded is None else msgspec.structs.replace(envelope, data=data)


def write_attributes(envelope: Envelope) -> dict[str, str]:
    """All that an event says beside its data, as text by the names of the attributes."""
    found = {"specversion": "1.0"}
    for name in _ATTRIBUTES:
        if value := getattr(envelope, name):
            found[name] = value if isinstance(value, str) else value.isoformat().replace("+00:00", "Z")
    return found


def read_attributes(attributes: Mapping[str, str], data: bytes) -> Envelope:
    """An event of such attributes (extensions that we don't know are dropped) and data; raises Undeliverable."""
    try:
        envelope = msgspec.convert(attributes, Envelope, strict=False)
        # Looked through: it is put into JSON as it stands.
        text = msgspec.json.decode(data.decode() or "null", type=msgspec.Raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undeliverable(f"not a CloudEvent 1.0 with data in JSON: {error}") from error
    _check(envelope)
    return msgspec.structs.replace(envelope, data=text.copy())


class WireEvent(NamedTuple):
    """An event as a protocol carries it: what its body is, what is said beside that, and the body."""

    content_type: str
    attributes: dict[str, str]
    body: bytes


def to_message(envelope: Envelope, *, binary: bool) -> WireEvent:
    """An event for a protocol: its attributes beside its data, or all of it as one body."""
    if not binary:
        return WireEvent(STRUCTURED, {}, write_json(envelope))
    return WireEvent(envelope.datacontenttype, write_attributes(envelope), bytes(envelope.data))


def from_message(message: WireEvent) -> Envelope:
    """Read an event in either mode; raises Undeliverable for what is none."""
    content_type, attributes, body = message
    if "specversion" in attributes and not content_type.lower().startswith("application/cloudevents"):
        return read_attributes({"datacontenttype": content_type} | attributes, body)
    return read_json(body)


def to_headers(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Attributes as headers, percent-encoded as the HTTP binding says (1.0.2, section 3.1.3.2)."""
    return {f"{prefix}{name}": quote(value, safe=_PLAIN) for name, value in attributes.items()}


def from_headers(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The attributes among headers, whose names are compared without case."""
    found = ((name.lower(), value) for name, value in headers.items())
    return {name.removeprefix(prefix): unquote(value) for name, value in found if name.startswith(prefix)}


def _check(envelope: Envelope) -> None:
    if not (envelope.id and envelope.source and envelope.type):
        raise Undeliverable("a CloudEvent needs an id, a source and a type that are not empty")
    media = envelope.datacontenttype.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        raise Undeliverable(f"{envelope.type} {envelope.id}: its data is {media}, only JSON can be read")


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode()
