"""Keys, signatures and encryption (RFC 7515 to 7518), by joserfc."""

from __future__ import annotations

import warnings
from typing import Any, Final

import msgspec

try:
    from joserfc.errors import JoseError, SecurityWarning
    from joserfc.jwe import decrypt_compact, encrypt_compact
    from joserfc.jwk import JWKRegistry, OctKey
    from joserfc.jws import JWSRegistry, deserialize_compact
except ModuleNotFoundError as error:
    from meristem.errors import ConfigurationError

    raise ConfigurationError(
        "tokens and sign-in at the gateway need the library joserfc: pip install 'meristem[identity]'"
    ) from error

from meristem.gateway.identity.credential import InvalidCredentialError
from meristem.gateway.identity.token_claims import LONGEST, text_of

LEAST_RSA: Final = 2048  # bits (RFC 7518, section 3.3)
MOST_KEYS: Final = 100
SEALED: Final = {"alg": "dir", "enc": "A256GCM"}
ANY_KEY: Final = ""
"""What a token's key is called that names none."""

# The fields of these curves, and where the points are of which eight times one, or four times, is nothing (RFC 8032,
# section 5): by such a key anybody's signature holds.
PRIMES: Final = {"Ed25519": 2**255 - 19, "Ed448": 2**448 - 2**224 - 1}
OF_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
FEW: Final = {"Ed25519": (0, 1, -1, OF_ORDER_8, -OF_ORDER_8), "Ed448": (0, 1, -1)}
FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}  # which keys an algorithm takes


class PublicKey(msgspec.Struct, frozen=True):
    """A key of an issuer; `algorithm` is the only one that it is for, if it says so."""

    kid: str
    kind: str
    algorithm: str
    key: Any


def public_keys(body: bytes) -> list[PublicKey]:
    """The keys of a set that signatures are checked by; raises ValueError for what is no set of keys.

    Symmetric keys are none, for whoever can read them could sign; nor are keys that are too short or of a small order,
    for encryption, or of a kind that is not known.
    """
    found = msgspec.json.decode(body)
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no list of keys")  # noqa: TRY004 - all that is wrong with it is one error
    keys = [key for each in listed[:MOST_KEYS] if isinstance(each, dict) and (key := _public_key(each)) is not None]
    if not keys:
        raise ValueError("it has no key by which a signature can be checked")
    return keys


def candidates(keys: list[PublicKey], kid: str, algorithm: str) -> list[PublicKey]:
    """Which of the keys a token may be signed by: that of its name, or any where it names none."""
    kind = FAMILIES.get(algorithm[:2], "")
    fits = [each for each in keys if each.kind == kind and each.algorithm in ("", algorithm)]
    return [each for each in fits if kid in (ANY_KEY, each.kid)]


def encrypted(content: bytes, key: Any) -> str:
    """Content that only who has the key can read or make, in the compact form."""
    return encrypt_compact(SEALED, content, key)


def decrypted(text: str, key: Any) -> bytes | None:
    """The content of what was `encrypted`; None for anything else."""
    try:
        found = decrypt_compact(text, key, algorithms=[*SEALED.values()])
    except (JoseError, ValueError, TypeError):
        return None
    return found.plaintext if found.protected == SEALED else None


def secret_key(secret: str | bytes) -> Any:
    """The key of a secret: HMAC's that an issuer shares with this system, or that of what only this system reads."""
    return OctKey.import_key(secret)


def check_signature(token: str, key: Any, algorithm: str) -> None:
    """Raise InvalidCredentialError for a token that is not signed by the key with this very algorithm."""
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = registry.max_signature_length = LONGEST
    try:
        with warnings.catch_warnings():
            # EdDSA is called Ed25519 since RFC 9864; nearly all issuers still say EdDSA.
            warnings.simplefilter("ignore", SecurityWarning)
            deserialize_compact(token, key, algorithms=[algorithm], registry=registry)
    except (JoseError, ValueError):
        raise InvalidCredentialError("the signature of the token does not hold") from None


def _public_key(each: dict[str, Any]) -> PublicKey | None:
    kind, operations = text_of(each, "kty"), each.get("key_ops")
    if kind not in FAMILIES.values() or each.get("use", "sig") != "sig":
        return None
    if isinstance(operations, list) and "verify" not in operations:
        return None
    if kind == "OKP" and text_of(each, "crv") not in PRIMES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key: Any = JWKRegistry.import_key(each)
        if _is_weak(key, kind, text_of(each, "crv")):
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(text_of(each, "kid"), kind, text_of(each, "alg"), key)


def _is_weak(key: Any, kind: str, curve: str) -> bool:
    """Whether others could sign by it: one that is too short, or a point of small order."""
    if kind == "RSA":
        return bool(key.raw_value.key_size < LEAST_RSA)
    return kind == "OKP" and _is_of_small_order(key, curve)


def _is_of_small_order(key: Any, curve: str) -> bool:
    """Whether it is one of `FEW`, however it is written; its last bit is the sign of the point's other half."""
    encoded: bytes = key.raw_value.public_bytes_raw()
    number = int.from_bytes(encoded, "little") & ~(0x80 << 8 * (len(encoded) - 1))
    prime = PRIMES[curve]
    return number % prime in [each % prime for each in FEW[curve]]
