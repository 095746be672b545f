"""What a credential proves, and how one that proves nothing is told."""

from __future__ import annotations

import msgspec

from meristem.context import Identity


class Credential(msgspec.Struct, frozen=True):
    """Who sends a request, and what the credential is good for; `key` is the name of an API key, "" for a user's."""

    user: Identity
    scopes: frozenset[str] = frozenset()
    key: str = ""


class InvalidCredentialError(Exception):
    """It proves nothing: malformed, forged, expired, or of somebody else. The text never has the credential in it."""


class IssuerAwayError(Exception):
    """Whether it proves something can't be told now: the keys of its issuer have not been read yet."""
