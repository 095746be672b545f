"""CloudEvents 1.0 on the wire: the JSON format, and the HTTP binding in structured and binary mode."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from meristem.contracts.codec import encode
from meristem.errors import Undeliverable
from meristem.events.envelope import Envelope

STRUCTURED: Final = "application/cloudevents+json"
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


def write_http(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    """The headers and body of a request in structured mode (HTTP binding, section 3.2)."""
    return {"content-type": STRUCTURED}, write_json(envelope)


def read_http(headers: Mapping[str, str], body: bytes) -> Envelope:
    """Read a request in structured or binary mode, its header names in lower case; raises Undeliverable."""
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == STRUCTURED:
        return read_json(body)
    if media.startswith("application/cloudevents"):
        raise Undeliverable(f"cannot read {media!r}; send one event as {STRUCTURED}, or in binary mode")
    attributes: dict[str, Any] = {
        name[3:]: unquote(value.strip('"')) for name, value in headers.items() if name.startswith("ce-")
    }
    attributes["datacontenttype"] = media
    try:
        envelope = msgspec.convert(attributes, Envelope, strict=False)
    except msgspec.ValidationError as error:
        raise Undeliverable(f"not a CloudEvent 1.0 in binary mode (ce-* headers): {error}") from error
    _check(envelope)
    return msgspec.structs.replace(envelope, data=msgspec.Raw(body or b"null"))


def _check(envelope: Envelope) -> None:
    if not (envelope.id and envelope.source and envelope.type):
        raise Undeliverable("a CloudEvent needs an id, a source and a type that are not empty")
    media = envelope.datacontenttype.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        raise Undeliverable(f"{envelope.type} {envelope.id}: its data is {media}, only JSON can be read")


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode()
