"""The folder in which a system keeps what it must remember between runs: `.meristem/NAME` in its project."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import OperationError
from meristem.private_files import make_folder, write_file
from meristem.security.tokens import Tokens, check_secret, new_secret
from meristem.system.presence import Presence
from meristem.system.system_status import SystemStatus

try:
    import fcntl
except ImportError:  # on Windows, where two may run
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from meristem.system.system_status import ReplicaStatus

SECRET: Final = "MERISTEM_SECRET"  # noqa: S105 - the name of a variable
HOME: Final = ".meristem"  # in a project: what its systems remember, and the environments of their processes
DESCRIPTIONS: Final = "services"  # in a system's folder: what its services are, as their interpreters described them
HISTORY: Final = "history.db"  # what operators look back on: traces, logs, figures
API_KEYS: Final = "api-keys.json"  # who may come in at the gateway by a key, as digests
TOKENS: Final = "operator_tokens.json"  # who may sign in to the dashboard by a token of their own
ACTIONS: Final = "actions.jsonl"  # what operators did
SETTINGS: Final = "settings"  # the values that each process uses
CRASHES: Final = "crashes"  # how often each replica's process ended within a scheduled method of its own
SOCKETS: Final = "run"  # where the processes of a run meet
GLANCE: Final = 0.05  # seconds, in which a command that asks for the lock's state has long let go of it


class StateDirectory:
    """One system's folder, readable by its user alone.

    `presence` is held by every process of the run, `former` are those that the run before had, from `claim` on.
    """

    def __init__(self, directory: Path, system: str) -> None:
        self.path = directory / HOME / system
        self.presence = Presence(self.path / "processes")
        self.former: tuple[ReplicaStatus, ...] = ()
        self._running = self.path / "running.json"
        self._claimed = self.path / "lock"
        self._restoring = self.path / "restoring"
        self.secret_file = self.path / "secret"
        self._lock: int | None = None

    @classmethod
    def at(cls, path: Path) -> StateDirectory:
        """The one whose folder is `path`, as the folders of `.meristem` are found."""
        return cls(path.parent.parent, path.name)

    @property
    def has_run(self) -> bool:
        """Whether a system ever ran from here, or was made ready to."""
        return self._claimed.exists() or self.secret_file.exists()

    def prepare(self) -> None:
        """Make the folder; raises OperationError where that is not allowed."""
        try:
            make_folder(self.path)
            _keep_out_of_git(self.path.parent)
        except OSError as error:
            raise OperationError.of_system(
                f"cannot make {self.path}: {error.strerror}; run in a folder you may write", error
            ) from None

    def tokens(self, environment: Mapping[str, str]) -> Tokens:
        """What signs and verifies the calls of the system's parts, by `MERISTEM_SECRET` or a secret kept here."""
        return Tokens(self.secret(environment).encode())

    def known_tokens(self, environment: Mapping[str, str]) -> Tokens | None:
        """As `tokens`, but None where no secret has been made here: nothing is written."""
        secret = self.known_secret(environment)
        return None if secret is None else Tokens(secret.encode())

    def known_secret(self, environment: Mapping[str, str]) -> str | None:
        """As `secret`, but None where none has been made here."""
        known = SECRET in environment or self.secret_file.exists()
        return self.secret(environment) if known else None

    def secret(self, environment: Mapping[str, str]) -> str:
        """The text that the parts of the system share, to be given to one that cannot read this folder.

        Raises ConfigurationError for a `MERISTEM_SECRET` that can be guessed, an empty one too.
        """
        return self.secret_of(environment) if SECRET in environment else self._secret().hex()

    @staticmethod
    def secret_of(environment: Mapping[str, str]) -> str:
        """The secret that the variable gives; raises as `secret` does."""
        given = environment[SECRET]
        check_secret(given.encode(), SECRET)
        return given

    def _secret(self) -> bytes:
        path = self.secret_file
        if not path.exists():
            try:
                self._make_secret(path)
            except OSError as error:
                raise OperationError.of_system(
                    f"cannot make {path}: {error.strerror}; set {SECRET} instead", error
                ) from None
        return path.read_bytes()

    def _make_secret(self, path: Path) -> None:
        """Write one beside the place and link it there: who reads it reads all of it, and the first one stays."""
        written = path.with_name(f"secret.{secrets.token_hex(8)}")
        # Its mode is given as it is made: with `chmod` after it, others could read it for a moment.
        descriptor = os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new_secret())
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):  # another process was first: its secret is the system's
                os.link(written, path)
        finally:
            written.unlink()

    def claim(self) -> None:
        """Be the only one to run the system from this folder.

        Raises OperationError with the pid of another, and where a restore was interrupted.
        """
        self.claim_to_restore()
        try:
            self.check_restored()
        except OperationError:
            self.release()
            raise

    def claim_to_restore(self) -> None:
        """Be the only one who uses this folder, whatever a restore has left of it."""
        if fcntl is None:
            self.withdraw()
            return
        with _written(self._claimed):
            # Never removed: a run that opened it before would hold a lock on a file that the next run does not find.
            lock = os.open(self._claimed, os.O_CREAT | os.O_RDWR, 0o600)
        if not _take(lock):
            pid = os.pread(lock, 20, 0).decode() or "unknown"
            os.close(lock)
            raise OperationError(
                f"{self.path.name} already runs from {self.path.parent.parent} as process {pid}; stop it first"
            )
        self._lock = lock  # freed by the kernel when this process ends, however it ends
        with _written(self._claimed):
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        # What is still announced is of a run that was killed: `succeed` ends what is left of it.
        announced = self._announced()
        self.former = announced.replicas if announced is not None else ()
        self.withdraw()

    def begin_restoring(self, backup: Path) -> None:
        """Let nobody run the system until all of a backup is in its place; for who has claimed the folder."""
        with _written(self._restoring):
            write_file(self._restoring, str(backup.absolute()).encode())

    def end_restoring(self) -> None:
        """All is in its place."""
        with _written(self._restoring):
            self._restoring.unlink(missing_ok=True)

    def check_restored(self) -> None:
        """Raise OperationError where a restore was interrupted: the databases are not all of one moment."""
        if not self._restoring.exists():
            return
        interrupted = OperationError(
            f"a restore of {self.path.name} was interrupted: repeat it first, by "
            f"`meristem restore {self._restoring.read_text()} --replace`"
        )
        interrupted.lasting = True
        raise interrupted

    def others(self, databases: Collection[Path]) -> list[str]:
        """The names of files here that neither this class nor a database made, which its services or apps keep."""
        files = (self._running, self._claimed, self._restoring, self.secret_file, self.presence.path)
        here = [each.name for each in databases if each.parent == self.path.absolute()]
        own = {CRASHES, DESCRIPTIONS, SETTINGS, SOCKETS, *(each.name for each in files)}
        own |= {f"{name}{beside}" for name in here for beside in ("", "-wal", "-shm")}
        return sorted({each.name for each in self.path.glob("*")} - own)

    def release(self) -> None:
        """Let another run the system."""
        # While the lock is held: after it, what the next run announces would be taken away.
        try:
            self.withdraw()
        finally:
            self.presence.leave()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def announce(self, running: SystemStatus) -> None:
        """Write down where the system answers."""
        written = self._running.with_suffix(".new")
        with _written(self._running):
            write_file(written, msgspec.json.encode(running))
            written.replace(self._running)  # a reader sees the old or the new, never half of it

    def withdraw(self) -> None:
        """Forget it again."""
        with _written(self._running):
            self._running.unlink(missing_ok=True)

    def running(self) -> SystemStatus | None:
        """Where the system answers; None when it does not run."""
        found = self._announced()
        try:
            return found if found is not None and self._is_claimed(found.pid) else None
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None

    def _announced(self) -> SystemStatus | None:
        """What was written down last, by a run that may be gone."""
        try:
            return msgspec.json.decode(self._running.read_bytes(), type=SystemStatus)
        except (FileNotFoundError, PermissionError, msgspec.DecodeError):
            return None

    def _is_claimed(self, pid: int) -> bool:
        """Whether a process runs the system now: the kernel knows, while a pid may be another program's by now."""
        if fcntl is None or not self._claimed.exists():
            os.kill(pid, 0)
            return True
        lock = os.open(self._claimed, os.O_RDONLY)
        try:
            # Shared: commands that look at the same time must not take each other for the system.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False


def prepare_run_directory(run: Path) -> None:
    """Make the folder of the sockets, empty and for this user alone; what a killed predecessor left is removed.

    Raises OperationError where that is not allowed.
    """
    remove_run_directory(run)
    try:
        run.mkdir(mode=0o700)
    except OSError as error:
        raise OperationError.of_system(
            f"cannot make {run} for sockets: {error.strerror}; free that place, or run in a folder you may write", error
        ) from None


def remove_run_directory(run: Path) -> None:
    """Remove the folder of the sockets, if it is there."""
    shutil.rmtree(run, ignore_errors=True)


def _keep_out_of_git(home: Path) -> None:
    """Have `git add` pass by what is here, the secret and the databases: a project need not think of it."""
    with contextlib.suppress(FileExistsError):  # its owner may have written another one
        made = os.open(home / ".gitignore", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(made, b"*\n")
        finally:
            os.close(made)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Raise what the disk refuses as an OperationError that names the file."""
    try:
        yield
    except OSError as error:
        raise OperationError.of_system(
            f"cannot write {path}: {error.strerror}; make room, or run in a folder you may write", error
        ) from None


def _take(lock: int) -> bool:
    """Take the lock, at the second try when a command only looked whether it is taken."""
    assert fcntl is not None
    for pause in (GLANCE, 0.0):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause)
        else:
            return True
    return False
