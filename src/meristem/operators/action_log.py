"""The log of what operators do: written before it is done, kept across restarts, and never changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.codec import encoder
from meristem.errors import CallError, Code
from meristem.operators.catalogue_contract import CallAnswer
from meristem.private_files import FILE, make_folder
from meristem.redaction import redact, redact_fields
from meristem.telemetry.sampling import Allowance

try:
    import fcntl
except ImportError:  # on Windows, where nobody else is kept from writing meanwhile
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from meristem.contracts.operation import Operation
    from meristem.operators.actors import Actor

logger = logging.getLogger(__name__)

ROTATED: Final = 8 * 1024 * 1024  # bytes from which on a file is put aside under its date, and a new one begun
REFUSALS: Final = 5.0  # lines a second at most: else who may do nothing would fill the disk, and others wait for it
UNWRITTEN: Final = "the end of action %s can't be written to %s: %s"
LONGEST_PROBLEM: Final = 1000  # characters
LONGEST_ARGUMENTS: Final = 16 * 1024  # bytes


class ActionEntry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of the log: that an action `began`, that it `ended`, or that somebody was `refused`."""

    id: str
    time: str  # RFC 3339, in UTC
    event: str
    role: str = ""
    means: str = ""
    address: str = ""
    name: str = ""
    user_id: int | None = None
    contract: str = ""
    operation: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"null")
    outcome: str = ""
    code: str = ""
    problem: str = ""
    seconds: float | None = None


class ActionLog:
    """Appends a line before an action and one after it, each on the disk before its writer goes on.

    Whoever renames or removes the file meanwhile (logrotate) loses nothing: it is opened anew for each line. Above
    `rotated` bytes it is put aside as `actions-DATE.jsonl`, and those stay until somebody removes them.
    """

    def __init__(self, path: Path, *, rotated: int = ROTATED) -> None:
        self.count = 0
        self.running: set[str] = set()
        self._path = path
        self._rotated = rotated
        # One thread: lines stand in the order in which they were asked for, and the event loop never waits for a disk.
        self._writing = ThreadPoolExecutor(1, "action log")
        self._refusals = Allowance(REFUSALS, time.monotonic())
        self._untold = 0

    async def begin(self, actor: Actor, operation: Operation, request: Any) -> str:
        """Write down what is about to be done; gives its id. Raises CallError where that can't be."""
        entry = _entry("began", actor, operation, _arguments(operation, request))
        try:
            await self._written(entry)
        except OSError as error:
            why = f"the log of actions {self._path} can't be written: {error.strerror or error}"
            text = f"nothing was done, for {why}; make room, and try again"
            # Not `unavailable`: the command would take the process for silent, and act on its database without a line.
            raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False) from error
        self.running.add(entry.id)
        return entry.id

    async def end(self, id_: str, seconds: float, error: BaseException | None, reply: Any = None) -> None:
        """Write down how it went, also of what only its reply says; where that fails, the system's own log says so."""
        outcome, code, problem = _told(reply) if error is None else _raised(error)
        entry = ActionEntry(
            id=id_, time=_now(), event="ended", outcome=outcome, code=code, problem=problem, seconds=round(seconds, 6)
        )
        self.running.discard(id_)
        try:
            # Though who asked has gone: that is one of the ways in which it ends.
            await asyncio.shield(self._written(entry))
        except OSError as failure:
            logger.error(UNWRITTEN, id_, self._path, failure)  # noqa: TRY400 - where it happened tells nothing

    def refuse(self, actor: Actor, operation: Operation, why: str) -> None:
        """Write down that somebody tried what the role does not allow; nobody waits for that.

        Of very many only some have a line, the next of which says how many had none.
        """
        if not self._refusals.take(time.monotonic()):
            self._untold += 1
            return
        if self._untold:
            why = f"{why} (and {self._untold} attempts before it that have no line)"
            self._untold = 0
        entry = _entry("refused", actor, operation, msgspec.Raw(b"null"), code="permission_denied", problem=why)
        self._writing.submit(self._append, entry).add_done_callback(partial(_complain, entry.id, self._path))

    def entries(self) -> Iterator[ActionEntry]:
        """All lines, the latest first; what can't be read is left out."""
        for path in sorted(
            self._path.parent.glob(f"{self._path.stem}*{self._path.suffix}"), key=self._age, reverse=True
        ):
            with contextlib.suppress(FileNotFoundError):
                for line in reversed(path.read_bytes().splitlines()):
                    with contextlib.suppress(msgspec.DecodeError):
                        yield msgspec.json.decode(line, type=ActionEntry)

    def _age(self, path: Path) -> tuple[bool, str]:
        return path == self._path, path.name  # the one that is written now has no date

    def close(self) -> None:
        """When all lines are written."""
        self._writing.shutdown()

    async def _written(self, entry: ActionEntry) -> None:
        await asyncio.wrap_future(self._writing.submit(self._append, entry))

    def _append(self, entry: ActionEntry) -> None:
        make_folder(self._path.parent)
        line = msgspec.json.encode(entry) + b"\n"
        descriptor = self._opened()
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # what the disk had no room for stays a line by itself
            if os.write(descriptor, line) < len(line):
                raise OSError(None, "the disk took a part of the line alone")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.count += 1

    def _opened(self) -> int:
        """The file, for this writer alone until it is closed; another one where it has grown too large."""
        while True:
            is_new = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), FILE)
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_new:
                _sync_folder(self._path.parent)
            found = os.fstat(descriptor)
            try:
                is_current = os.path.samestat(found, self._path.stat())
            except FileNotFoundError:
                is_current = False
            if is_current and found.st_size < self._rotated:
                return descriptor
            if is_current:
                self._put_aside()
            os.close(descriptor)  # and so its lock: who waits for it finds that it is no longer the one

    def _put_aside(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        self._path.rename(self._path.with_stem(f"{self._path.stem}-{stamp}"))


def _entry(event: str, actor: Actor, operation: Operation, arguments: msgspec.Raw, **named: Any) -> ActionEntry:
    return ActionEntry(
        id=secrets.token_hex(8),
        time=_now(),
        event=event,
        contract=operation.contract,
        operation=operation.name,
        arguments=arguments,
        **actor._asdict(),
        **named,
    )


def _arguments(operation: Operation, request: Any) -> msgspec.Raw:
    told = str(redact_fields(encoder(operation.request)(request).decode())).encode()
    if len(told) > LONGEST_ARGUMENTS:
        text = told[:LONGEST_ARGUMENTS].decode(errors="ignore")
        told = msgspec.json.encode(f"{text}… ({len(told)} bytes)")
    return msgspec.Raw(told)


def _told(reply: Any) -> tuple[str, str, str]:
    """Outcome, code and problem of what was answered."""
    if silent := getattr(reply, "silent", None):
        return "partial", Code.UNAVAILABLE.value, f"{', '.join(silent)} did not answer"[:LONGEST_PROBLEM]
    if isinstance(reply, CallAnswer) and reply.code:
        return "failed", reply.code, redact(reply.message)[:LONGEST_PROBLEM]
    return "done", "", ""


def _raised(error: BaseException) -> tuple[str, str, str]:
    if isinstance(error, asyncio.CancelledError):
        return "unknown", "canceled", "who asked has gone, or the system ended, before it was done"
    code = getattr(error, "code", Code.INTERNAL)
    # Of what nobody foresaw the text is in the system's log alone, as for callers.
    text = str(getattr(error, "message", "") or error) if hasattr(error, "code") else type(error).__name__
    return "failed", code.value if isinstance(code, Code) else str(code), redact(text)[:LONGEST_PROBLEM]


def _complain(id_: str, path: Path, written: Future[None]) -> None:
    if (failure := written.exception()) is not None:
        logger.error(UNWRITTEN, id_, path, failure)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sync_folder(folder: Path) -> None:
    """So that the name of a new file is on the disk, too."""
    with contextlib.suppress(OSError):  # some file systems know no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
