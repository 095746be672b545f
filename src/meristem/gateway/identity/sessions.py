"""The session of who has signed in: in a cookie of their browser, so that any edge knows it and none keeps it."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.context import Identity
from meristem.gateway.identity.credential import Credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.gateway.identity.sealing import Seal

REMEMBERED: Final = 10_000  # sessions


class SealedSession(msgspec.Struct, frozen=True, array_like=True):
    """Who has signed in, and until when that counts, in seconds since 1970."""

    user: Identity
    scopes: tuple[str, ...]
    expires: int


class Sessions:
    """Begins sessions of `lifetime` seconds, and tells whose one is; known ones are found again by their digest."""

    def __init__(self, seal: Seal, lifetime: float, now: Callable[[], float] = time.time) -> None:
        self.lifetime = int(lifetime)
        self._seal = seal
        self._now = now
        self._known: OrderedDict[bytes, tuple[Credential, int]] = OrderedDict()

    def begin(self, credential: Credential) -> str:
        """The text of a new session; raises TooLargeToKeepError."""
        scopes = tuple(sorted(credential.scopes))
        return self._seal.seal(SealedSession(credential.user, scopes, int(self._now()) + self.lifetime))

    def find(self, text: str) -> Credential | None:
        """Who has signed in; None for a session that is over, or none."""
        digest = hashlib.sha256(text.encode("latin-1", "replace")).digest()
        known = self._known.get(digest)
        if known is None:
            session = self._seal.open(text, SealedSession)
            if session is None:
                return None
            known = Credential(session.user, frozenset(session.scopes)), session.expires
            self._known[digest] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known[0] if self._now() < known[1] else None
