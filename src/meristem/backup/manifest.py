"""What a backup's folder holds, by its `manifest.json`: each database's copy with its checksum, and what is missing."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.private_files import write_file
from meristem.security.digest import Digest

FORMAT: Final = 1
FILE: Final = "manifest.json"
SECRET_FILE: Final = "secret"  # noqa: S105 - the name of a file


class DatabaseCopy(msgspec.Struct, frozen=True):
    """The copy of one service's database: a file in the folder, and what is in it.

    `system` is the database system (`sqlite`), `rows` counts them by table, `revisions` are those that its tables were
    brought to.
    """

    file: str
    system: str
    bytes: int
    sha256: str
    rows: dict[str, int]
    revisions: list[str]


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup of a system, as it was at `at`.

    `left_out` are services with a database that is not in it, with the reason; `beside` are other files of the
    system's folder, which are not in it either. `secret_digest` tells the system's secret from another one, and
    `has_secret` says whether it is in the backup: not where it comes from the environment. `release` is Meristem's.
    `bus` is the scheme of the bus: what a broker had for services at that moment is in no database.
    """

    format: int
    system: str
    release: str
    at: datetime
    held: float  # seconds for which writers were kept out
    databases: dict[str, DatabaseCopy]
    left_out: dict[str, str]
    beside: list[str]
    secret_digest: str | None
    has_secret: bool
    bus: str = "direct"

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(sum(each.rows.values()) for each in self.databases.values())

    @property
    def bytes(self) -> int:
        """How long the copies are in all."""
        return sum(each.bytes for each in self.databases.values())


def read_manifest(folder: Path, system: str) -> Manifest:
    """The manifest of a backup; raises ConfigurationError for a folder without one, and for one of another system."""
    try:
        manifest = msgspec.json.decode((folder / FILE).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{folder} is no backup: {FILE}: {why}; name a folder of `meristem backup`") from None
    if manifest.format != FORMAT:
        raise ConfigurationError(f"{folder} has format {manifest.format}, this release reads {FORMAT}: use a newer one")
    if manifest.system != system:
        raise ConfigurationError(f"{folder} is a backup of {manifest.system!r}, and this is {system!r}: name that one")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it, as the last file of a backup."""
    write_file(folder / FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def digest_of_secret(secret: str) -> str:
    """What tells a secret from another one, and nothing of it."""
    return Digest(secret.encode(), "backup").of()


def checksum(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def to_disk(path: Path) -> None:
    """Return when a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
