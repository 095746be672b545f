"""What a browser keeps for the gateway and must neither read nor change: encrypted (RFC 7516, dir and A256GCM)."""

from __future__ import annotations

import hmac
from typing import Final, TypeVar

import msgspec

from meristem.gateway.identity.signatures import decrypted, encrypted, secret_key

LONGEST: Final = 3800  # characters: with its name and attributes browsers keep 4096 (RFC 6265, section 6.1)
PURPOSE: Final = b"meristem.gateway.1\n"

T = TypeVar("T")


class TooLargeToKeepError(Exception):
    """It has no room in a cookie."""


class Seal:
    """Seals what is kept under one name, by the secret of the system: all edges open what one has sealed."""

    def __init__(self, secret: bytes, name: str) -> None:
        self._key = secret_key(hmac.digest(secret, PURPOSE + name.encode(), "sha256"))

    def seal(self, value: msgspec.Struct) -> str:
        """The value as a cookie can hold it; raises TooLargeToKeepError."""
        sealed = encrypted(msgspec.json.encode(value), self._key)
        if len(sealed) > LONGEST:
            raise TooLargeToKeepError(
                f"what a cookie would hold has {len(sealed)} characters, and {LONGEST} are the most"
            )
        return sealed

    def open(self, text: str, type_: type[T]) -> T | None:
        """What was sealed; None for anything else."""
        if len(text) > LONGEST:
            return None
        found = decrypted(text, self._key)
        if found is None:
            return None
        try:
            return msgspec.json.decode(found, type=type_)
        except msgspec.DecodeError:  # of another release
            return None
