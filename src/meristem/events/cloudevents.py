"""CloudEvents 1.0 on the wire: the JSON format."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from meristem.contracts.codec import encode
from meristem.errors import Undeliverable
from meristem.events.envelope import Envelope

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


def _check(envelope: Envelope) -> None:
    if not (envelope.id and envelope.source and envelope.type):
        raise Undeliverable("a CloudEvent needs an id, a source and a type that are not empty")
    media = envelope.datacontenttype.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        raise Undeliverable(f"{envelope.type} {envelope.id}: its data is {media}, only JSON can be read")


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode()
