"""Puts a backup in the place of a system's databases, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from meristem.backup.copying import ASKED
from meristem.backup.manifest import Manifest, digest_of_secret, read_manifest, to_disk
from meristem.backup.staging import check_services, kept_secret, stage
from meristem.errors import ConfigurationError, OperationError, StorageError
from meristem.private_files import make_folder, write_file
from meristem.storage.database import database_for
from meristem.system.state_directory import SECRET, StateDirectory

if TYPE_CHECKING:
    from meristem.backup.copying import Tell
    from meristem.storage.database_file import DatabaseFile
    from meristem.system.blueprint import Blueprint


class Restored(msgspec.Struct, frozen=True):
    """What a restore has done: where the former data is now, and what somebody should know of."""

    manifest: Manifest
    set_aside: list[str]
    pending: dict[str, list[str]]
    notes: list[str]


def restore(
    blueprint: Blueprint,
    directory: Path,
    folder: Path,
    *,
    environment: Mapping[str, str],
    tell: Tell,
    replace: bool = False,
    other_secret: bool = False,
) -> Restored:
    """Put all databases of a backup in their places; the system must not run.

    Every copy is beside its place and verified before anything is changed. Data that is there is refused without
    `replace`, and with it renamed, never deleted. A system with another secret is refused without `other_secret`.
    Raises OperationError where the system runs or a database is open, StorageError for a damaged copy,
    ConfigurationError for one that this release can't work with.
    """
    manifest = read_manifest(folder, blueprint.system.name)
    check_services(blueprint, manifest)
    state = StateDirectory(directory, blueprint.system.name)
    state.prepare()
    if not other_secret:
        _check_secret(state, manifest, environment)
    state.claim_to_restore()
    try:
        places = {name: _place(blueprint, directory, name) for name in manifest.databases}
        secret = _secret(state, folder, manifest, environment, other_secret=other_secret)
        former = [*places.values(), *_later(blueprint, directory, manifest)]
        _check_free(state, former, secret, replace=replace)
        with ExitStack() as stack:
            staged, pending = {}, {}
            for name, copy in manifest.databases.items():
                place = places[name].path
                staged[place] = stack.enter_context(_folder_beside(place)) / f"{name}.db"
                pending[name] = stage(blueprint, directory, folder, name, copy, staged[place], tell)
            aside = _put(state, folder, former, staged, secret)
    finally:
        state.release()
    return Restored(manifest, aside, pending, _notes(blueprint, manifest))


def _place(blueprint: Blueprint, directory: Path, name: str) -> DatabaseFile:
    database = database_for(blueprint.database_url(name), name=name, directory=directory)
    if database.file is None:
        raise ConfigurationError(
            f"the backup holds a file of {name!r}, whose database is none by this placement: restore with the one "
            "that the backup was made with"
        )
    return database.file


@contextmanager
def _folder_beside(place: Path) -> Iterator[Path]:
    """A new folder, so that no log of a database that was there before is taken for the copy's own."""
    try:
        make_folder(place.parent)
        folder = TemporaryDirectory(prefix=".restoring-", dir=place.parent)
    except OSError as error:
        raise OperationError.of_system(
            f"cannot restore to {place}: {error.strerror}; let this user write its folder", error
        ) from None
    with folder as name:
        yield Path(name)


def _later(blueprint: Blueprint, directory: Path, manifest: Manifest) -> list[DatabaseFile]:
    """The databases that were not there when the backup was made: what they hold is of what happened after it."""
    kept = {name for name, why in manifest.left_out.items() if why == ASKED}
    names = [each.name for each in blueprint.plan.services if each.database]
    later = [_place(blueprint, directory, name) for name in names if name not in manifest.databases.keys() | kept]
    return [each for each in later if each.path.exists()]


def _secret(
    state: StateDirectory, folder: Path, manifest: Manifest, environment: Mapping[str, str], *, other_secret: bool
) -> bytes | None:
    """The secret that is to be put in its place; None where it is there already, or given or lost otherwise."""
    if not manifest.has_secret or SECRET in environment:
        return None
    known = state.known_secret(environment)
    if known is not None and digest_of_secret(known) == manifest.secret_digest:
        return None
    try:
        return kept_secret(folder, manifest)
    except StorageError as error:
        if other_secret:
            return None
        text = f"{error}, set {SECRET} as it was, or say --other-secret: then sagas that were under way fail"
        raise ConfigurationError(text) from None


def _check_secret(state: StateDirectory, manifest: Manifest, environment: Mapping[str, str]) -> None:
    """Refuse a secret that is not the backup's: what was under way would be refused, and undone where a saga did it."""
    if manifest.secret_digest is None or (manifest.has_secret and SECRET not in environment):
        return
    known = state.known_secret(environment)
    if known is None or digest_of_secret(known) != manifest.secret_digest:
        raise ConfigurationError(
            f"the secret of this system is not the backup's: set {SECRET} as it was, for this command too. With "
            "another one no call that is repeated is known, so sagas that were under way fail; where it is lost, say "
            "--other-secret"
        )


def _check_free(state: StateDirectory, former: Sequence[DatabaseFile], secret: bytes | None, *, replace: bool) -> None:
    there = [each.path for each in former if each.path.exists()]
    there += [state.secret_file] if secret is not None and state.secret_file.exists() else []
    if there and not replace:
        raise ConfigurationError(
            f"there is data already: {', '.join(map(str, there))}; --replace sets it aside, under other names"
        )
    for each in former:
        if each.path.exists() and each.is_open():
            raise OperationError(f"{each.path} is open in another program: end that first")


def _put(
    state: StateDirectory,
    folder: Path,
    former: Sequence[DatabaseFile],
    staged: Mapping[Path, Path],
    secret: bytes | None,
) -> list[str]:
    """Set aside what is there and rename what is staged; killed in between, it leaves a mark that lets nothing run."""
    ending = f".before-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    state.begin_restoring(folder)
    try:
        aside = [each.set_aside(ending) for each in former if each.path.exists()]
        for place, copy in staged.items():
            copy.rename(place)
        if secret is not None:
            if state.secret_file.exists():
                aside.append(state.secret_file.rename(state.secret_file.with_name(f"secret{ending}")))
            write_file(state.secret_file, secret)
            to_disk(state.secret_file)
        for each in {state.path, *(place.parent for place in staged)}:
            to_disk(each)
    except OSError as error:
        raise OperationError.of_system(
            f"the restore stopped half-way: {error.strerror} ({error.filename}); mend that, and repeat it --replace",
            error,
        ) from None
    state.end_restoring()
    return [str(each) for each in aside]


def _notes(blueprint: Blueprint, manifest: Manifest) -> list[str]:
    notes = [f"{name} was not restored: {why}" for name, why in manifest.left_out.items()]
    if manifest.bus != "direct":
        notes.append(_of_broker(manifest))
    unknown = {each.name for each in blueprint.plan.services if each.database} - manifest.databases.keys()
    return notes + [f"{name} is not in the backup" for name in sorted(unknown - manifest.left_out.keys())]


def _of_broker(manifest: Manifest) -> str:
    """What becomes of the events that a broker had for services at that moment, and of those that came after it."""
    at = f"{manifest.at:%Y-%m-%dT%H:%M:%S}Z"
    if manifest.bus == "nats":
        return (
            f"services go on in the stream of NATS where they were at {at}: they hear what came since, also what this "
            "system published of which it knows nothing now; another prefix= begins anew"
        )
    again = "`meristem events replay --subscriber NAME --since TIME` brings it, from a little before that time on"
    gone = "is gone where it was taken in since"
    return (
        f"what the broker ({manifest.bus}) had at {at} for services that had not taken it in "
        f"{again if manifest.bus.startswith('kafka') else gone}"
    )
