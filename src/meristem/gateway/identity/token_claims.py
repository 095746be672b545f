"""The claims of a token (RFC 7519): read so that nothing in them has two meanings, checked, and made an identity."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from typing import Any, Final

import msgspec

from meristem.context import Identity
from meristem.gateway.identity.credential import Credential, InvalidCredentialError

LONGEST: Final = 16 * 1024  # characters of a token; a head of 64 KiB would hold four of them
LONGEST_TEXT: Final = (
    255  # characters of a subject, as OpenID Connect Core 1.0 has it (section 2), and of each other part
)
MOST_ROLES: Final = 100
OF_KEYS: Final = "key:"
"""What the subject of an API key begins with: no issuer can name one."""

BEARER_TYPES: Final = frozenset(("", "jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""What a token may call itself; others, such as `dpop+jwt` and `logout+jwt`, are made for something else (RFC 8725)."""

UNREADABLE: Final = "the token is no JSON Web Token"


class ClaimPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the claims say who somebody is: a name, or a path of names with dots; empty for what is not taken over.

    A name with dots or slashes in it, as Auth0 asks for, is written as it is: what is there whole comes first.
    """

    subject: str = "sub"
    name: str = "name"
    roles: str = ""
    tenant: str = ""
    scopes: str = "scope"


class SignedToken(msgspec.Struct, frozen=True):
    """A token as it was sent: its header and claims, which nothing has proved yet."""

    token: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def algorithm(self) -> str:
        """Which algorithm it says that it is signed by."""
        return text_of(self.header, "alg")

    @property
    def issuer(self) -> str:
        """Which issuer it says that it is of."""
        return text_of(self.claims, "iss")


class Expected(msgspec.Struct, frozen=True):
    """What the claims must say; `leeway` are seconds by which clocks may differ."""

    issuer: str
    audience: frozenset[str]
    leeway: float


def read_token(token: str) -> SignedToken:
    """The header and the claims of a token in the compact form; raises InvalidCredentialError."""
    if len(token) > LONGEST:
        raise InvalidCredentialError(f"the token has more than {LONGEST} characters")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise InvalidCredentialError(UNREADABLE)
    header, claims = _object(parts[0]), _object(parts[1])
    if "crit" in header or "b64" in header:  # RFC 7797: without the one the other says nothing
        raise InvalidCredentialError("the token has critical header parameters, of which none is understood")
    if text_of(header, "typ").lower() not in BEARER_TYPES:
        raise InvalidCredentialError("the token is of a type that proves nothing here")
    return SignedToken(token, header, claims)


def check_claims(claims: dict[str, Any], expected: Expected, now: float) -> float:
    """When the token ends, in seconds since 1970; raises InvalidCredentialError for one that does not hold now."""
    if claims.get("iss") != expected.issuer:
        raise InvalidCredentialError("the token is of another issuer")
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not any(isinstance(each, str) and each in expected.audience for each in named):
        raise InvalidCredentialError("the token is for another audience")
    expires = _time(claims, "exp")
    if expires is None:
        raise InvalidCredentialError("the token has no time at which it ends (exp)")
    if now >= expires + expected.leeway:
        raise InvalidCredentialError("the token has expired")
    for claim in ("nbf", "iat"):
        begins = _time(claims, claim)
        if begins is not None and now < begins - expected.leeway:
            raise InvalidCredentialError("the token is not valid yet")
    if "cnf" in claims:  # RFC 9449 and RFC 8705: by itself it proves nothing
        raise InvalidCredentialError("the token is bound to a key, of which nothing is proved here")
    return expires


def credential_of(claims: dict[str, Any], paths: ClaimPaths, prefix: str = "") -> Credential:
    """Whom claims that hold speak for; raises InvalidCredentialError where they name nobody."""
    subject = _found(claims, paths.subject)
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_TEXT:
        raise InvalidCredentialError("the token names no subject")
    subject = prefix + subject
    if subject.startswith(OF_KEYS):
        raise InvalidCredentialError("the token names a subject as only API keys have one")
    name, tenant = _found(claims, paths.name), _found(claims, paths.tenant)
    user = Identity(subject, _short(name), tuple(_list(_found(claims, paths.roles))), _short(tenant))
    return Credential(user, frozenset(_list(_found(claims, paths.scopes))))


def text_of(values: dict[str, Any], name: str) -> str:
    """A text by its name, empty for anything else."""
    found = values.get(name)
    return found if isinstance(found, str) else ""


def _object(part: str) -> dict[str, Any]:
    try:
        text = urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        if "\\" in text:  # an escape may be half of a character, which nobody behind could write down
            json.dumps(found, ensure_ascii=False).encode()
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidCredentialError(UNREADABLE) from None
    if not isinstance(found, dict):
        raise InvalidCredentialError(UNREADABLE)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that has a name twice says two things (RFC 7519, section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidCredentialError("the token says something twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _time(claims: dict[str, Any], name: str) -> float | None:
    found = claims.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < 1e12:
        raise InvalidCredentialError(f"the token's {name} is no time")
    return float(found)


def _found(claims: dict[str, Any], path: str) -> Any:
    if not path or path in claims:
        return claims.get(path)
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _short(value: Any) -> str:
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _list(value: Any) -> list[str]:
    """Roles or scopes: a list, or one text with spaces between (RFC 6749, section 3.3)."""
    if isinstance(value, str):
        return value.split()[:MOST_ROLES]
    if isinstance(value, list):
        return [each for each in value if isinstance(each, str)][:MOST_ROLES]
    return []
