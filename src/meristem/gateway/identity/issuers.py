"""The issuers whose tokens count, and the tokens that have been verified already."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from meristem.gateway.identity.credential import InvalidCredentialError
from meristem.gateway.identity.token_claims import LONGEST, read_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meristem.gateway.identity.credential import Credential
    from meristem.gateway.identity.token_issuer import TokenIssuer

REMEMBERED: Final = 10_000  # tokens; 5 MB


class Issuers:
    """Tells whose a bearer token is; `by_url` are the issuers as tokens name them.

    A token that was verified is known again by its digest until it ends, or until its issuer withdraws a key: nothing
    but digests is kept, and the common case is a digest and a look into a table.
    """

    def __init__(self, by_url: Mapping[str, TokenIssuer], now: Callable[[], float] = time.time) -> None:
        self._by_url = by_url
        self._now = now
        self._verified: OrderedDict[bytes, tuple[Credential, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verified)

    def find(self, token: str) -> Credential | Awaitable[Credential]:
        """Whose a token is, or what that is awaited by; raises InvalidCredentialError, or IssuerAwayError."""
        if len(token) > LONGEST:
            raise InvalidCredentialError(f"the token has more than {LONGEST} characters")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None:
            if self._now() < known[1]:
                self._verified.move_to_end(digest)
                return known[0]
            del self._verified[digest]
        signed = read_token(token)
        issuer = self._by_url.get(signed.issuer)
        if issuer is None:
            raise InvalidCredentialError("the token is of no issuer that is known here")
        found = issuer.verify(signed, self._now())
        if isinstance(found, tuple):
            return self._remember(digest, issuer, *found)
        return self._await(digest, issuer, found)

    def forget(self) -> None:
        """Verify every token anew: a key is good no longer."""
        self._verified.clear()

    async def _await(
        self, digest: bytes, issuer: TokenIssuer, pending: Awaitable[tuple[Credential, float]]
    ) -> Credential:
        return self._remember(digest, issuer, *await pending)

    def _remember(self, digest: bytes, issuer: TokenIssuer, credential: Credential, expires: float) -> Credential:
        self._verified[digest] = credential, expires + issuer.leeway
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return credential
