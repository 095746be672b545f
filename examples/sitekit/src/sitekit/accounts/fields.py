"""What accounts are made of, as contracts bound it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Password = Annotated[str, Meta(min_length=8, max_length=200)]
TypedPassword = Annotated[str, Meta(min_length=1, max_length=200)]  # to sign in: one of older rules is right, too
Device = Annotated[str, Meta(max_length=64)]

HASHING = 20.0  # seconds: a password takes 30 ms to hash on purpose, and in a rush many queue for it
