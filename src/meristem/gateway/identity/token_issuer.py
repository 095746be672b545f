"""An issuer of tokens: whose each of its tokens is, if it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from meristem.gateway.identity.credential import InvalidCredentialError, IssuerAwayError
from meristem.gateway.identity.signatures import ANY_KEY, check_signature
from meristem.gateway.identity.token_claims import check_claims, credential_of, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from meristem.gateway.identity.credential import Credential
    from meristem.gateway.identity.issuer_keys import IssuerKeys
    from meristem.gateway.identity.token_claims import ClaimPaths, Expected, SignedToken


class Proofs(Protocol):
    """By what the signatures of an issuer are checked."""

    def check(self, signed: SignedToken) -> Awaitable[None] | None:
        """None for a signature that holds, or what it is awaited by.

        Raises InvalidCredentialError, or IssuerAwayError where that can't be told.
        """
        ...


class SharedSecret:
    """Proofs of who shares a secret with this system."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def check(self, signed: SignedToken) -> None:
        """Raise InvalidCredentialError for a signature that does not hold."""
        check_signature(signed.token, self._key, signed.algorithm)


class PublicProofs:
    """Proofs by the public keys of an issuer; a key that is not known is looked for once more."""

    def __init__(self, keys: IssuerKeys) -> None:
        self._keys = keys

    def check(self, signed: SignedToken) -> Awaitable[None] | None:
        """As `Proofs.check`."""
        if self._holds(signed):
            return None
        if self._keys.may_be_read:
            return self._check_again(signed)
        raise self._unknown()

    async def _check_again(self, signed: SignedToken) -> None:
        await self._keys.read_again()
        if not self._holds(signed):
            raise self._unknown()

    def _holds(self, signed: SignedToken) -> bool:
        """Whether it is signed by a known key; False where the key is not known, raises for one that did not sign."""
        kid = text_of(signed.header, "kid")
        found = self._keys.find(kid, signed.algorithm)
        for at, each in enumerate(found):
            try:
                check_signature(signed.token, each.key, signed.algorithm)
            except InvalidCredentialError:
                if kid != ANY_KEY and at == len(found) - 1:
                    raise
            else:
                return True
        return False

    def _unknown(self) -> Exception:
        if not self._keys.are_known:
            return IssuerAwayError("the keys of the issuer of this token have not been read yet")
        return InvalidCredentialError("the token is signed by a key that its issuer does not name")


class TokenIssuer:
    """One issuer of the table: its tokens hold if they are signed by it, for this audience, and now."""

    def __init__(
        self, algorithms: frozenset[str], expected: Expected, paths: ClaimPaths, proofs: Proofs, *, prefix: str = ""
    ) -> None:
        self._algorithms = algorithms
        self._expected = expected
        self._paths = paths
        self._proofs = proofs
        self._prefix = prefix

    @property
    def leeway(self) -> float:
        """Seconds by which its clock may differ from ours."""
        return self._expected.leeway

    def verify(self, signed: SignedToken, now: float) -> tuple[Credential, float] | Awaitable[tuple[Credential, float]]:
        """Whose a token is and when it ends, or what that is awaited by.

        Raises InvalidCredentialError, or IssuerAwayError. The claims are looked at first: that costs less.
        """
        if signed.algorithm not in self._algorithms:
            raise InvalidCredentialError("the token is signed by an algorithm that is not allowed here")
        expires = check_claims(signed.claims, self._expected, now)
        found = credential_of(signed.claims, self._paths, self._prefix), expires
        pending = self._proofs.check(signed)
        return found if pending is None else _after(pending, found)


async def _after(pending: Awaitable[None], found: tuple[Credential, float]) -> tuple[Credential, float]:
    await pending
    return found
