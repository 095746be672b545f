"""Takes a backup of a system, which may run meanwhile: all its databases as they were at one moment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.backup.manifest import (
    FORMAT,
    SECRET_FILE,
    DatabaseCopy,
    Manifest,
    checksum,
    digest_of_secret,
    to_disk,
    write_manifest,
)
from meristem.errors import ConfigurationError, OperationError
from meristem.private_files import make_folder, write_file
from meristem.storage.database import database_for
from meristem.storage.one_instant import PATIENCE, fix_all
from meristem.system.state_directory import SECRET, StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.storage.database_file import Cut, DatabaseFile
    from meristem.system.blueprint import Blueprint

Tell = Callable[[str, int, int], None]
"""Hears of which service how many pages of how many are copied."""

ASKED: Final = "it was left out as asked"


class FoundDatabases(NamedTuple):
    """The databases of a system that are files, and those that are not copied, with the reason."""

    files: Mapping[str, DatabaseFile]
    systems: Mapping[str, str]
    left_out: Mapping[str, str]


def take(
    blueprint: Blueprint,
    directory: Path,
    to: Path,
    *,
    environment: Mapping[str, str],
    tell: Tell,
    without: Collection[str] = (),
    patience: float = PATIENCE,
) -> Manifest:
    """Write a backup into the new folder `to`, which is there only when the backup is whole and was verified.

    Services `without` are left out; any other whose database a server keeps is refused. Raises StorageUnavailable
    where no moment came within `patience` seconds in which nobody wrote, and StorageError for a damaged database.
    """
    if to.exists():
        raise ConfigurationError(f"{to} is there already: name a new folder")
    found = find(blueprint, directory, without)
    if not found.files:
        reasons = "; ".join(f"{name}: {why}" for name, why in found.left_out.items()) or "no service has a database"
        raise ConfigurationError(f"there is nothing to back up: {reasons}")
    state = StateDirectory(directory, blueprint.system.name)
    with _new_folder(to) as folder, ExitStack() as stack:
        cuts: dict[str, Cut] = {}
        for name, file in found.files.items():
            cuts[name] = file.cut()
            stack.callback(cuts[name].close)
        instant = fix_all(cuts, patience)
        copies = {}
        for name, cut in cuts.items():
            copies[name] = _copied(name, cut, found, folder, tell)
            cut.close()  # its log may be taken into the file again
        secret = state.known_secret(environment)
        has_secret = secret is not None and SECRET not in environment
        if has_secret:
            write_file(folder / SECRET_FILE, state.secret_file.read_bytes())
            to_disk(folder / SECRET_FILE)
        manifest = Manifest(
            FORMAT,
            blueprint.system.name,
            version("meristem"),
            *instant,
            copies,
            dict(found.left_out),
            state.others({each.path for each in found.files.values()}),
            None if secret is None else digest_of_secret(secret),
            has_secret,
            blueprint.placement.resources.bus.partition(":")[0],
        )
        write_manifest(folder, manifest)
    return manifest


def find(blueprint: Blueprint, directory: Path, without: Collection[str] = ()) -> FoundDatabases:
    """Where the databases are; raises ConfigurationError for one that no file of this machine holds."""
    names = [each.name for each in blueprint.plan.services if each.database]
    if unknown := set(without) - set(names):
        there_are = ", ".join(names) or "none"
        raise ConfigurationError(f"no service {min(unknown)!r} has a database; there are {there_are}")
    files: dict[str, DatabaseFile] = {}
    systems: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name in names:
        database = database_for(blueprint.database_url(name), name=name, directory=directory)
        if name in without:
            left_out[name] = ASKED
        elif database.is_temporary:
            left_out[name] = "its database is a temporary one"
        elif database.file is None:
            raise ConfigurationError(
                f"the database of {name!r} is kept by a {database.system} server: back it up with the tools of that, "
                f"and the others --without {name}"
            )
        elif not database.exists():
            left_out[name] = "it has no database here yet"
        else:
            files[name], systems[name] = database.file, database.system
    return FoundDatabases(files, systems, left_out)


def _copied(name: str, cut: Cut, found: FoundDatabases, folder: Path, tell: Tell) -> DatabaseCopy:
    file = folder / f"{name}.db"
    cut.copy(file, lambda done, total: tell(name, done, total))
    contents = found.files[name].contents(file)
    to_disk(file)
    return DatabaseCopy(
        file.name, found.systems[name], file.stat().st_size, checksum(file), contents.rows, contents.revisions
    )


@contextmanager
def _new_folder(to: Path) -> Iterator[Path]:
    """A folder beside the place, that takes it once all is well; else nothing stays."""
    try:
        make_folder(to.parent)
        folder = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    except OSError as error:
        raise _refused(to, error) from None
    try:
        yield folder
        to_disk(folder)
        folder.rename(to)
        to_disk(to.parent)
    except OSError as error:
        raise _refused(to, error) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refused(to: Path, error: OSError) -> OperationError:
    return OperationError.of_system(
        f"cannot write the backup {to}: {error.strerror}; make room, or name a folder that may be written", error
    )
