"""An issuer of tokens as a test plays it: its keys, what it signs, and how often it was asked."""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from meristem.gateway.identity.fetching import FetchError
from meristem.gateway.identity.issuer_keys import IssuerKeys
from meristem.gateway.identity.issuers import Issuers
from meristem.gateway.identity.token_claims import ClaimPaths, Expected
from meristem.gateway.identity.token_issuer import PublicProofs, TokenIssuer

URL = "https://login.example"
AUDIENCE = "https://api.shop.example"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa-2"})


class Provider:
    """Answers for its documents while it `is_there`."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.is_there = True
        self.asked: list[str] = []

    async def __call__(
        self, url: str, form: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> bytes:
        self.asked.append(url)
        if not self.is_there:
            raise FetchError("connection refused")
        if url.endswith("/.well-known/openid-configuration"):
            return json.dumps({"issuer": URL, "jwks_uri": f"{URL}/jwks"}).encode()
        return json.dumps({"keys": [each.as_dict(private=False) for each in self.keys]}).encode()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(**others: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"iss": URL, "aud": AUDIENCE, "sub": "u-1", "iat": now, "exp": now + 300, **others}
    return {name: value for name, value in found.items() if value is not None}


def signed(key: Any, algorithm: str, body: Mapping[str, Any] | str | None = None, **header: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(claims() if body is None else body)
    head = {"alg": algorithm, "kid": key.kid, **header}
    head = {name: value for name, value in head.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, which is called Ed25519 since RFC 9864
        return jws.serialize_compact(head, text.encode(), key, registry=registry)


def part(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def known(provider: Provider, clock: Clock | None = None, **paths: str) -> tuple[Issuers, IssuerKeys]:
    by_url: dict[str, TokenIssuer] = {}
    issuers = Issuers(by_url)
    keys = IssuerKeys("main", URL, "", provider, changed=issuers.forget, now=clock or Clock())
    expected = Expected(URL, frozenset({AUDIENCE}), 30.0)
    algorithms = frozenset({"RS256", "ES256", "EdDSA"})
    by_url[URL] = TokenIssuer(algorithms, expected, ClaimPaths(**paths), PublicProofs(keys))
    return issuers, keys
