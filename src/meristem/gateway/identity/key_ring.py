"""The API keys that an edge knows: its file is looked at while keys are shown, so a change counts at once."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.followed_files import FollowedFiles
from meristem.gateway.identity.api_keys import id_of, read_keys
from meristem.gateway.identity.credential import InvalidCredentialError
from meristem.private_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meristem.gateway.identity.api_keys import ApiKey
    from meristem.gateway.identity.credential import Credential

logger = logging.getLogger(__name__)
LOOKED: Final = 0.2  # seconds for which a file is not looked at again
WRITTEN: Final = 5.0  # seconds between two writings of when keys were used
UNKNOWN: Final = "the API key is not known"


class KeyRing:
    """The keys of the file at `path`, which may be one that several hosts mount; `used` is written here.

    It is looked at by its time, size and number whenever a key is shown, at most five times a second: no message has
    to reach anybody, so it does not matter how the file gets there.
    """

    def __init__(self, path: Path, used: Path | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._used = used
        self._now = now
        self._file = FollowedFiles(path, between=LOOKED, now=now)
        self._keys: dict[str, tuple[ApiKey, Credential]] = {}
        self._last: dict[str, int] = {}
        self._written = float("-inf")

    def find(self, key: str) -> Credential:
        """Whose a key is; raises InvalidCredentialError."""
        moment = self._now()
        if self._file.have_changed():
            self._read_again()
        found = self._keys.get(id_of(key) or "")
        if found is None or not found[0].is_shown_by(key):
            raise InvalidCredentialError(UNKNOWN)
        if found[0].has_expired(datetime.now(UTC)):
            raise InvalidCredentialError("the API key has expired")
        if self._used is not None:
            self._last[found[0].id] = int(time.time())
            if moment - self._written >= WRITTEN:
                self._written = moment
                self._write()
        return found[1]

    async def start(self) -> None:
        """Read the keys; raises ConfigurationError for a file that can't be."""
        if self._used is not None:
            self._last = read_used(self._used)
        self._file.settle()
        self._take(read_keys(self._path))

    async def drain(self) -> None:
        """They are needed to the end."""

    async def stop(self) -> None:
        """Write down when keys were used."""
        if self._used is not None and self._last:
            self._write()

    def _read_again(self) -> None:
        try:
            self._take(read_keys(self._path))
        except ConfigurationError as error:
            logger.error("%s; the keys that were read before count on", error)  # noqa: TRY400 - it says where it comes from

    def _take(self, keys: list[ApiKey]) -> None:
        self._keys = {each.id: (each, each.credential()) for each in keys}

    def _write(self) -> None:
        assert self._used is not None
        try:
            # Of two edges on this machine each may write: the later time of a key is the one that counts.
            merged = read_used(self._used)
            merged |= {key: max(at, merged.get(key, 0)) for key, at in self._last.items()}
            replace_file(self._used, msgspec.json.encode(merged))
        except OSError as error:
            logger.warning("when API keys were used can't be written to %s: %s", self._used, error)


def read_used(path: Path) -> dict[str, int]:
    """When keys were last used, in seconds since 1970 by their ids."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return {}
