"""The contracts of earlier code: a commit, another folder, or a snapshot that was kept."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from meristem.config.project import nearest, tool_table
from meristem.contracts.evolution.snapshot import ContractsSnapshot, read_snapshot
from meristem.errors import ConfigurationError

PATIENCE: Final = 120.0  # seconds in which code of before must have been imported


def snapshot_before(against: str, target: str | None, folder: Path) -> ContractsSnapshot:
    """The snapshot of what `against` names; raises ConfigurationError for what can't be read.

    A path that exists is that; anything else is a commit of git's. Its code runs in a process of its own, by this
    interpreter, with the packages that are installed now.
    """
    path = folder / against
    if path.is_file():
        return read_snapshot(path.read_bytes(), str(path))
    if path.is_dir():
        return _snapshot_in(path.resolve(), target, against)
    with tempfile.TemporaryDirectory(prefix="meristem-contracts-") as made:
        top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
        commit = _commit(against, folder)
        # An archive, not a worktree: nothing is left in .git, however this ends.
        with tarfile.open(fileobj=io.BytesIO(_git(top, "archive", "--format=tar", commit))) as archive:
            archive.extractall(made, filter="data")
        inside = Path(made) / folder.resolve().relative_to(top.resolve())
        if not inside.is_dir():
            raise ConfigurationError(f"there was no {folder.name}/ in {against}: nothing can be compared with it")
        return _snapshot_in(inside, target, against)


def allowed_changes(root: Path) -> dict[str, str]:
    """The changes that the project allows, each with its reason: `allow` in `[tool.meristem.contracts]`."""
    project = nearest(root)
    table = {} if project is None else tool_table(project).get("contracts", {})
    allowed = table.get("allow", {}) if isinstance(table, dict) else {}
    if not isinstance(allowed, dict) or not all(isinstance(each, str) and each.strip() for each in allowed.values()):
        raise ConfigurationError(
            f"{project}: `allow` in [tool.meristem.contracts] is a table that says why each change is meant: "
            'allow = { "field-removed Stay.nights" = "nobody read it" }'
        )
    return allowed


def _snapshot_in(folder: Path, target: str | None, origin: str) -> ContractsSnapshot:
    with tempfile.TemporaryDirectory(prefix="meristem-snapshot-") as made:
        file = Path(made) / "snapshot.json"
        command = [sys.executable, "-m", "meristem", "contracts", "check", "--save", str(file)]
        command += [] if target is None else ["--system", target]
        try:
            ended = subprocess.run(  # noqa: S603 - this command itself
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"the code of {origin} was not imported within {PATIENCE:.0f} s") from None
        if ended.returncode or not file.is_file():
            said = (ended.stderr.strip() or ended.stdout.strip() or f"it ended with {ended.returncode}").splitlines()
            raise ConfigurationError(
                f"the contracts of {origin} cannot be read: {said[-1].removeprefix('error: ')}\n"
                "  Its code is imported with the packages that are installed now. If it needs others, keep a snapshot "
                "when you release (meristem contracts check --save contracts.json), and compare with that"
            )
        found = read_snapshot(file.read_bytes(), origin)
    _check_own(found, origin)
    return found


def _check_own(found: ContractsSnapshot, origin: str) -> None:
    """Refuse a snapshot of the code of today: where it was imported from elsewhere, all would seem to be well."""
    if found.contracts and not any(each.source.file for each in found.contracts.values()):
        name, contract = next(iter(found.contracts.items()))
        module = contract.source.names[0].partition(":")[0]
        raise ConfigurationError(
            f"the code of {origin} was not what was imported: {module}, with {name}, is installed elsewhere; "
            "compare in an environment without that package, or with a snapshot that was kept"
        )


def _commit(name: str, folder: Path) -> str:
    try:
        return (
            _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        )
    except ConfigurationError:
        raise ConfigurationError(
            f"there is neither a file or folder {name!r} nor a commit of that name; in a shallow clone fetch it first: "
            f"git fetch --depth 1 origin {name}"
        ) from None


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise ConfigurationError("git is not installed; compare with a folder or a snapshot instead") from None
    if ended.returncode:
        raise ConfigurationError(ended.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed")
    return ended.stdout
