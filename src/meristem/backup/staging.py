"""Brings a copy out of a backup to where it is to be used, and sees that it is whole and fit for this release."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from meristem.backup.manifest import SECRET_FILE, DatabaseCopy, Manifest, digest_of_secret, read_manifest, to_disk
from meristem.errors import ConfigurationError, OperationError, StorageError
from meristem.private_files import make_file, make_folder
from meristem.runtime.schema import pending
from meristem.storage.database import Database, database_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.backup.copying import Tell
    from meristem.system.blueprint import Blueprint

_PIECE: Final = 8 << 20


def check_services(blueprint: Blueprint, manifest: Manifest) -> None:
    """Raise ConfigurationError for a backup of a service that the system has not, or not with a database."""
    known = {each.name for each in blueprint.plan.services if each.database}
    if gone := manifest.databases.keys() - known:
        raise ConfigurationError(
            f"the backup holds {', '.join(sorted(gone))}, of which this release of {manifest.system} keeps nothing: "
            "restore it with the release that it was made of"
        )


def stage(
    blueprint: Blueprint, directory: Path, folder: Path, name: str, copy: DatabaseCopy, to: Path, tell: Tell
) -> list[str]:
    """Copy a service's database out of a backup; answers with the revisions that this release would apply to it.

    Raises StorageError for a copy that is not what the manifest says, and ConfigurationError for one that was brought
    to a revision with which this release can't work.
    """
    found = _copy(folder / copy.file, to, lambda done: tell(name, done, copy.bytes))
    if found != copy.sha256:
        raise _damaged(folder / copy.file, "its checksum is another one than when it was made")
    database = database_for(f"{copy.system}:///{to.name}", name=name, directory=to.parent)
    if database.file is None:
        raise ConfigurationError(f"{folder / copy.file} is a database of {copy.system}, which is no file here")
    if database.file.contents(to).rows != copy.rows:
        raise _damaged(folder / copy.file, "it does not hold the rows that the manifest tells of")
    missing = asyncio.run(_pending(blueprint, directory, database))
    to_disk(to)
    return missing


async def _pending(blueprint: Blueprint, directory: Path, database: Database) -> list[str]:
    await database.start()
    try:
        return await pending(database, directory / blueprint.plan.service(database.name).migrations, lambda: None)
    finally:
        await database.stop()


def kept_secret(folder: Path, manifest: Manifest) -> bytes | None:
    """The system's secret that a backup holds; None where it holds none. Raises StorageError for one that is not it."""
    if not manifest.has_secret:
        return None
    file = folder / SECRET_FILE
    try:
        secret = file.read_bytes()
    except FileNotFoundError:
        raise _damaged(file, "it is missing") from None
    except OSError as error:
        raise OperationError.of_system(f"{file} cannot be read: {error.strerror}", error) from None
    if digest_of_secret(secret.hex()) != manifest.secret_digest:
        raise _damaged(file, "it is another one than when it was made")
    return secret


def _copy(file: Path, to: Path, tell: Callable[[int], None]) -> str:
    """Copy a file for this user alone; answers with the checksum of what was read."""
    found, done = hashlib.sha256(), 0
    try:
        make_folder(to.parent)
        make_file(to)
        with file.open("rb") as content, to.open("wb") as copy:
            while piece := content.read(_PIECE):
                found.update(piece)
                copy.write(piece)
                done += len(piece)
                tell(done)
    except OSError as error:
        if not file.exists():
            raise _damaged(file, "it is missing") from None
        raise OperationError.of_system(
            f"{file} cannot be copied to {to}: {error.strerror}; make room, or see that both may be used", error
        ) from None
    return found.hexdigest()


def _damaged(file: Path, why: str) -> StorageError:
    error = StorageError(f"{file} is damaged: {why}; use another backup")
    error.lasting = True
    return error


def verify(blueprint: Blueprint, directory: Path, folder: Path, tell: Tell) -> dict[str, list[str]]:
    """Restore each copy to a place that is gone afterwards, and verify it as `restore` does.

    Answers with the revisions that this release would apply to each; raises as `stage` does.
    """
    manifest = read_manifest(folder, blueprint.system.name)
    check_services(blueprint, manifest)
    kept_secret(folder, manifest)
    found = {}
    for name, copy in manifest.databases.items():
        with TemporaryDirectory(prefix="meristem-") as scratch:
            found[name] = stage(blueprint, directory, folder, name, copy, Path(scratch, f"{name}.db"), tell)
    return found
