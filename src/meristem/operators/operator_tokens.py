"""The tokens by which people and programs sign in to the dashboard: named, kept as digests, revoked one by one."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from meristem.errors import MisuseError, OperationError
from meristem.followed_files import stamp_of
from meristem.operators.actors import Role
from meristem.private_files import locked, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from meristem.followed_files import Stamp

logger = logging.getLogger(__name__)
SHARED: Final = ("operator", "viewer")  # the names of those that follow from the system's secret


class NamedToken(msgspec.Struct, frozen=True):
    """Somebody's token: nobody can make it of its `digest` (SHA-256), for it has 192 bits of chance."""

    name: str
    role: Role
    digest: str
    created: str  # RFC 3339, in UTC


class KeptTokens(msgspec.Struct, frozen=True):
    """What the file has: named tokens, and the `revoked` ones of those that follow from the secret."""

    tokens: tuple[NamedToken, ...] = ()
    revoked: tuple[Role, ...] = ()


class KnownAs(NamedTuple):
    """Who a token is of; nobody is named by one that is shared."""

    role: Role
    name: str = ""


class OperatorTokens:
    """The tokens of one system, in a file that a running system reads again when it has changed.

    `shared` are those that follow from the system's secret, by role; without a `path` there are no others.
    """

    def __init__(self, path: Path | None, shared: Mapping[Role, str]) -> None:
        self._path = path
        self._shared = shared
        self._seen: Stamp | None = None
        self._kept = KeptTokens()

    def find(self, token: str) -> KnownAs | None:
        """Whose a token is; None for one that is none, or no longer."""
        try:
            kept = self.kept()
        except OperationError as error:
            logger.error("%s", error)  # noqa: TRY400 - where it was read tells nothing
            return None
        digest = _digest(token)
        # All are compared: how long it takes tells nothing.
        found = [
            KnownAs(role)
            for role, each in self._shared.items()
            if hmac.compare_digest(token.encode(), each.encode()) and role not in kept.revoked
        ]
        found += [KnownAs(each.role, each.name) for each in kept.tokens if hmac.compare_digest(digest, each.digest)]
        return found[0] if found else None

    def kept(self) -> KeptTokens:
        """What is in the file now; OperationError for one that can't be read."""
        if self._path is None:
            return self._kept
        try:
            stamp = stamp_of(self._path)
        except FileNotFoundError:
            self._seen, self._kept = None, KeptTokens()
            return self._kept
        if stamp != self._seen:
            self._kept = self._read()
            self._seen = stamp
        return self._kept

    def add(self, name: str, role: Role) -> str:
        """A new token for somebody, which is told this once; raises MisuseError for a name that is taken."""
        token = secrets.token_hex(24)
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._changing() as kept:
            if name in SHARED or any(each.name == name for each in kept.tokens):
                raise MisuseError(f"there is a token of the name {name!r}: revoke it first, or give another name")
            made = NamedToken(name, role, _digest(token), created)
            self._write(msgspec.structs.replace(kept, tokens=(*kept.tokens, made)))
        return token

    def revoke(self, name: str) -> None:
        """Let nobody in by it any more: `operator` and `viewer` are those that are shared; MisuseError if unknown."""
        with self._changing() as kept:
            rest = tuple(each for each in kept.tokens if each.name != name)
            if name in SHARED:
                role: Role = "operator" if name == "operator" else "viewer"
                self._write(msgspec.structs.replace(kept, revoked=tuple(sorted({*kept.revoked, role}))))
            elif len(rest) == len(kept.tokens):
                there_are = ", ".join([*SHARED, *(each.name for each in kept.tokens)])
                raise MisuseError(f"there is no token of the name {name!r}; there are {there_are}")
            else:
                self._write(msgspec.structs.replace(kept, tokens=rest))

    def allow(self, role: Role) -> None:
        """Take the shared token of a role again."""
        with self._changing() as kept:
            self._write(msgspec.structs.replace(kept, revoked=tuple(each for each in kept.revoked if each != role)))

    @contextmanager
    def _changing(self) -> Iterator[KeptTokens]:
        """What is kept, which nobody else changes meanwhile."""
        assert self._path is not None
        with locked(self._path):
            yield self.kept()

    def _read(self) -> KeptTokens:
        assert self._path is not None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=KeptTokens)
        except (OSError, msgspec.DecodeError) as error:
            # What is not known to be taken is revoked: a token that somebody has just revoked must not come back.
            raise OperationError(f"{self._path} can't be read, so nobody is let in by a token: {error}") from error

    def _write(self, kept: KeptTokens) -> None:
        """Put another file in its place, so that who reads it has the one or the other."""
        assert self._path is not None
        content = msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n"
        replace_file(self._path, content, durable=True)  # a token that was revoked must not come back


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
