"""Digests of requests that only the system can make, so that a stolen table tells nobody what was in them."""

from __future__ import annotations

import hashlib
import hmac


class Digest:
    """Makes digests of one purpose under the system's secret (HMAC-SHA-256, RFC 2104).

    A plain hash of a card or a password could be found again by trying; this one only by who has the secret.
    """

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._keyed = hmac.new(secret, purpose.encode() + b"\n", hashlib.sha256)

    def of(self, *parts: bytes) -> str:
        """The digest of `parts`, in hexadecimal."""
        made = self._keyed.copy()
        for part in parts:
            made.update(len(part).to_bytes(8, "big") + part)
        return made.hexdigest()
