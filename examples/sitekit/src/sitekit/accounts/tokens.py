"""Texts that prove something: who has signed in, and from which browser before."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_token() -> str:
    """A text of 256 random bits, which stands for a session."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token, so that who reads the table can't act as anybody; random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def device_of(password_hash: str) -> str:
    """What a browser keeps to be known by; only who knows the hash can make it, and another password ends it."""
    return hmac.new(password_hash.encode(), b"device", "sha256").hexdigest()
