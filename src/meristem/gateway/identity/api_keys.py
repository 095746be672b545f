"""API keys: long random texts that are shown once, and of which a file keeps digests.

A plain digest is right here, where it would be wrong for passwords: a key has 256 bits of chance, so nobody finds it
by trying however fast that goes, and a slow hash would only make each request slow.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.context import Identity
from meristem.errors import ConfigurationError
from meristem.gateway.identity.credential import Credential
from meristem.gateway.identity.token_claims import OF_KEYS
from meristem.private_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MARK: Final = "mk_"  # what a key begins with, by which it is told from a token, and found where it was left lying
_ID: Final = 8  # bytes in hexadecimal digits that name a key
_SECRET: Final = 32  # bytes of chance
LONGEST: Final = 100  # characters


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as it is kept: `id` is its beginning, by which people recognise it, `digest` the SHA-256 of the whole."""

    name: str
    id: str
    digest: str
    created: datetime
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    tenant: str = ""
    expires: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether it is good no longer."""
        return self.expires is not None and now >= self.expires

    def credential(self) -> Credential:
        """What it proves: its holder is the user `key:NAME`, as no issuer can name one."""
        user = Identity(f"{OF_KEYS}{self.name}", self.name, self.roles, self.tenant)
        return Credential(user, frozenset(self.scopes), self.name)

    def is_shown_by(self, key: str) -> bool:
        """Whether that is the key, compared in constant time."""
        return hmac.compare_digest(self.digest, digest_of(key))


class KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file of keys; `version` is that of its form."""

    keys: list[ApiKey] = []
    version: int = 1


def new_key(name: str, **granted: object) -> tuple[ApiKey, str]:
    """A new key as it is kept, and as it is shown this once."""
    beginning = f"{MARK}{secrets.token_hex(_ID)}"
    key = f"{beginning}_{secrets.token_urlsafe(_SECRET)}"
    now = datetime.now(UTC).replace(microsecond=0)
    return ApiKey(name, beginning, digest_of(key), now, **granted), key  # type: ignore[arg-type]


def id_of(key: str) -> str | None:
    """The id of a key as it is shown; None for what is none."""
    if not key.startswith(MARK) or len(key) > LONGEST or not key.isascii():
        return None
    return key[: len(MARK) + 2 * _ID]


def digest_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a file, none where it is not there; raises ConfigurationError for one that can't be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=KeyFile)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"the file of API keys {path} can't be read: {error}") from None
    if found.version != 1:
        raise ConfigurationError(f"the file of API keys {path} is of a newer release")
    return found.keys


def write_keys(path: Path, keys: Sequence[ApiKey]) -> None:
    """Put the keys in the place of those of the file, at once."""
    content = msgspec.json.format(msgspec.json.encode(KeyFile(list(keys))), indent=2) + b"\n"
    replace_file(path, content, durable=True)  # a key that was revoked must not come back
