"""Tokens by which the processes of one system know who calls: signed with a secret that they share."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from meristem.context import Context, Identity
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIFETIME: Final = 10  # minutes
SKEW: Final = 60.0  # seconds by which the clocks of two hosts may differ
REMEMBERED: Final = 4096  # tokens kept on each side
LONGEST: Final = 24 * 1024  # characters: for a user of whom the token of an issuer says all that it may
LEAST_SECRET: Final = 32  # bytes, the output of SHA-256 (RFC 2104, section 3)
LEAST_DISTINCT: Final = 8  # bytes that differ: a word that is repeated is long and can be guessed
PURPOSE: Final = b"meristem.token.1\n"  # the same secret signs nothing else

K = TypeVar("K")
V = TypeVar("V")


class Caller(msgspec.Struct, frozen=True):
    """Who stands behind a call: the service that makes it and the user it is made for, either may be absent."""

    service: str | None = None
    user: Identity | None = None


class _Payload(msgspec.Struct, frozen=True, array_like=True):
    service: str | None
    user: Identity | None
    expires: int  # minutes since 1970


def new_secret() -> bytes:
    """A secret to share among the processes of a system."""
    return secrets.token_bytes(LEAST_SECRET)


def check_secret(secret: bytes, name: str = "a secret") -> bytes:
    """The secret; raises ConfigurationError, by this name, for one that can be guessed."""
    distinct = len(set(secret))
    if len(secret) < LEAST_SECRET:
        problem = f"has {len(secret)} bytes, and {LEAST_SECRET} are the least"
    elif distinct < LEAST_DISTINCT:
        problem = f"is made of {distinct} different bytes, and {LEAST_DISTINCT} are the least"
    else:
        return secret
    raise ConfigurationError(
        f"{name} {problem}: it could be guessed; make one with "
        "`python3 -c 'import secrets; print(secrets.token_hex(32))'`"
    )


class Tokens:
    """Signs who calls, and reads it back; `also` are former secrets that are still accepted while one is changed."""

    def __init__(self, secret: bytes, *, also: Sequence[bytes] = (), now: Callable[[], float] = time.time) -> None:
        for each in (secret, *also):
            check_secret(each)
        self._secret = secret
        self._accepted = (secret, *also)
        self._now = now
        self._signed: OrderedDict[tuple[str | None, Identity | None], tuple[str, float]] = OrderedDict()
        self._verified: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._decode = msgspec.json.Decoder(_Payload).decode
        self._encode = msgspec.json.Encoder().encode

    def sign(self, service: str | None, user: Identity | None = None) -> str:
        """A token for calls of `service` made for `user`; the same one until half of its lifetime is over."""
        now = self._now()
        known = self._signed.get((service, user))
        if known is not None and now < known[1]:
            return known[0]
        expires = int(now // 60) + LIFETIME + 1
        body = urlsafe_b64encode(self._encode(_Payload(service, user, expires)))
        token = f"{body.decode()}.{_text(_mac(self._secret, body))}"
        _remember(self._signed, (service, user), (token, now + LIFETIME * 30))
        return token

    def prove(self, context: Context) -> str:
        """A token for a call made in `context`."""
        return self.sign(context.caller, context.user)

    def verify(self, token: str) -> Caller | None:
        """Who calls; None for a token that is expired, altered, cut off or not of this system."""
        now = self._now()
        known = self._verified.get(token)
        if known is not None:
            if now < known[1]:
                self._verified.move_to_end(token)
                return known[0]
            del self._verified[token]
            return None
        payload = self._read(token)
        if payload is None or now >= payload.expires * 60 + SKEW:
            return None
        caller = Caller(payload.service, payload.user)
        _remember(self._verified, token, (caller, payload.expires * 60 + SKEW))
        return caller

    def _read(self, token: str) -> _Payload | None:
        body, dot, signature = token.partition(".")
        if not dot or len(token) > LONGEST or not token.isascii():
            return None
        given = signature.encode()
        known = [hmac.compare_digest(_text(_mac(secret, body.encode())).encode(), given) for secret in self._accepted]
        if not any(known):
            return None
        try:
            return self._decode(urlsafe_b64decode(body))
        except (ValueError, msgspec.DecodeError):  # signed by us, yet by another version
            return None


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, PURPOSE + body, "sha256")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _remember(cache: OrderedDict[K, V], key: K, value: V) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > REMEMBERED:
        cache.popitem(last=False)
