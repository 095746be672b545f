"""The credentials of the transcript: tokens that hold, tokens that do not, each in one way, and API keys."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from meristem.gateway.identity.api_keys import new_key, write_keys
from tests.suites.issuing import AUDIENCE, EC, ED, OTHER, RSA, claims, part, signed

SHORT = rsa.generate_private_key(65537, 1024)
EC_384 = ECKey.generate_key("P-384", {"kid": "ec-384"})
SECRET = "a secret of the issuer that nobody else has: 64 characters, or more"
ODD_HEADERS: tuple[dict[str, Any], ...] = (
    {"typ": 5}, {"typ": "dpop+jwt"}, {"kid": 5}, {"b64": False}, {"crit": None}, {"crit": []},
)  # fmt: skip
ODD_CLAIMS = (
    '"\\u0073ub": "root"', '"a": {"b": 1, "b": 2}', '"a": 01', '"a": .5', '"a": 0x10', '"a": -Infinity',
    '"a": "\\ud800"', '"a": "\\x"', '"a": "\t"', '"a": tru', '"exp": 1e400', '"nbf": "now"',
    '"iat": false', '"cnf": null', '"a": 1,',
)  # fmt: skip
KEYS = (RSA, EC, EC_384, ED)
"""What the issuer signs by; `OTHER` is a key of somebody else."""

OF_SMALL_ORDER = "\1" + "\0" * 31
"""A point of Ed25519 by which anybody's signature holds."""


def key_set() -> bytes:
    """The keys, and two that are good for nothing: one is too short, by the other what is signed is the signature."""
    short = SHORT.public_key().public_numbers().n.to_bytes(128)
    weak = [
        {"kty": "RSA", "kid": "short", "n": _encoded(short), "e": "AQAB"},
        {"kty": "RSA", "kid": "one", "n": RSA.as_dict()["n"], "e": "AQ"},
    ]
    return json.dumps({"keys": [*(each.as_dict(private=False) for each in KEYS), *weak]}).encode()


def tokens() -> dict[str, str]:
    """All tokens by what they are called in the transcript."""
    now = int(time.time())
    good = signed(RSA, "RS256")
    head, body, signature = good.split(".")

    def rs(text: str | None = None, /, header: dict[str, Any] | None = None, **others: Any) -> str:
        return signed(RSA, "RS256", text or claims(**others), **(header or {}))

    whole, es = json.dumps(claims()), signed(EC, "ES256")
    return {
        "rs256": good,
        "rs512": signed(RSA, "RS512"),
        "rs384": signed(RSA, "RS384"),
        "ps256": signed(RSA, "PS256"),
        "es256": signed(EC, "ES256"),
        "es384": signed(EC_384, "ES384"),
        "eddsa": signed(ED, "EdDSA"),
        "no_kid": rs(header={"kid": None}),
        "none": f"{part({'alg': 'none'})}.{body}.",
        "none_capital": f"{part({'alg': 'NONE'})}.{body}.{signature}",
        "unsigned": f"{head}.{body}.",
        "wrong_key": signed(OTHER, "RS256", kid="rsa-1"),
        "unknown_kid": rs(header={"kid": "other"}),
        "expired": rs(exp=now - 60),
        "early": rs(nbf=now + 600),
        "other_audience": rs(aud="https://other.example"),
        "other_issuer": rs(iss="https://evil.example"),
        "no_exp": rs(exp=None),
        "exp_text": rs(exp=str(now + 300)),
        "twice": rs(whole[:-1] + ', "sub": "root"}'),
        "nan": rs(whole[:-1] + ', "x": NaN}'),
        "crit": rs(header={"crit": ["b64"], "b64": True}),
        "dpop": rs(header={"typ": "dpop+jwt"}),
        "bound": rs(cnf={"jkt": "x"}),
        "hs_by_public_key": _hs(RSA.as_pem(private=False), "HS256"),
        "cut_signature": good[:-8],
        "changed_claims": f"{head}.{part(claims(sub='root'))}.{signature}",
        "no_subject": rs(sub=""),
        "of_keys": rs(sub="key:acme"),
        "garbage": "a.b.c",
        "other_scheme": rs(aud=AUDIENCE.replace("https", "http")),
        "audience_with_slash": rs(aud=[f"{AUDIENCE}/"]),
        "b64": rs(header={"b64": True}),
        "short_key": _by(SHORT, "short"),
        "key_of_one": _by_one(),
        "other_bits": f"{good[:-1]}{_next(good[-1])}",
        "es_longer": f"{es}AA",
        "many_letters": rs(sub="ü" * 255),
        "too_many_letters": rs(sub="ü" * 256),
        "es_der": _with_der(signed(EC, "ES256")),
        "ed_as_rs": f"{part({'alg': 'RS256', 'kid': 'ed-1'})}.{body}.{signature}",
        "long": rs(note="x" * 17_000),
        "clerk": rs(sub="u-2", roles=["clerk"]),
        "reader": rs(scope="orders:read"),
        "writer": rs(scope="orders:read orders:write"),
        "hs256": _hs(SECRET.encode(), "HS256"),
        "hs384": _hs(SECRET.encode(), "HS384"),
        "hs512": _hs(SECRET.encode(), "HS512"),
        "hs_wrong": _hs(b"x" + SECRET.encode(), "HS256"),
        **{f"hs_header_{at}": _hs(SECRET.encode(), "HS256", header=each) for at, each in enumerate(ODD_HEADERS)},
        **{
            f"hs_claims_{at}": _hs(SECRET.encode(), "HS256", f"{whole[:-1]}, {each}}}")
            for at, each in enumerate(ODD_CLAIMS)
        },
        "hs_expired": _hs(SECRET.encode(), "HS256", exp=now - 60),
    }


def api_keys(path: Path) -> dict[str, str]:
    """All keys by what they are called in the transcript, with their file at a path."""
    made = {
        "key": new_key("acme"),
        "reading_key": new_key("reads", scopes=("orders:read",)),
        "old_key": new_key("old", expires=datetime.now(UTC) - timedelta(days=1)),
    }
    write_keys(path, [each for each, _ in made.values()])
    path.chmod(0o644)  # a proxy's workers may be another user
    return {name: key for name, (_, key) in made.items()}


def _hs(
    secret: bytes, algorithm: str, text: str | None = None, /, header: Mapping[str, Any] = {}, **others: Any
) -> str:
    """A token signed by a secret, whatever secret and token are: libraries refuse a public key for one."""
    signed_part = f"{part({'alg': algorithm, **header})}.{part(text or claims(**others))}"
    made = hmac.digest(secret, signed_part.encode(), f"sha{algorithm[2:]}")
    return f"{signed_part}.{_encoded(made)}"


def _by(key: rsa.RSAPrivateKey, kid: str) -> str:
    """A token signed by a key that libraries refuse."""
    signed_part = f"{part({'alg': 'RS256', 'kid': kid})}.{part(claims())}"
    return f"{signed_part}.{_encoded(key.sign(signed_part.encode(), PKCS1v15(), SHA256()))}"


def _by_one() -> str:
    """What a signature by RSA holds (RFC 8017, 9.2): where the exponent is 1, that is the signature."""
    signed_part = f"{part({'alg': 'RS256', 'kid': 'one'})}.{part(claims())}"
    of_sha256 = bytes.fromhex("3031300d060960864801650304020105000420")
    filled = b"\0\1" + b"\xff" * 202 + b"\0" + of_sha256 + hashlib.sha256(signed_part.encode()).digest()
    return f"{signed_part}.{_encoded(filled)}"


def _next(letter: str) -> str:
    """The letter of base64url whose last bit is another one; in the last of 256 bytes it stands for nothing."""
    at = urlsafe_b64decode(f"AAA{letter}")[2] ^ 1
    return urlsafe_b64encode(bytes((0, 0, at)))[3:].decode()


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _with_der(token: str) -> str:
    """A signature of ECDSA as others but JWTs have it."""
    signed_part = token.rpartition(".")[0]
    der = EC.private_key.sign(signed_part.encode(), ECDSA(SHA256()))
    return f"{signed_part}.{_encoded(der)}"
