"""The Maildir that holds the mail: a file a message, synced to the disk before it counts as delivered."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from .messages import Message, Summary, header_of, parse


class Maildir:
    """One Maildir for everyone: each copy carries its recipient in ``Delivered-To``.

    A message that arrives again (the same Message-ID for the same recipient) is dropped, as Dovecot and Cyrus do: a
    sender who did not hear the first 250 sends twice. The file's name is made of the two, so the file system itself
    decides which delivery is the first, also after a restart. A message is read when somebody looks at it, not while
    its sender waits.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._received: dict[str, datetime] = {}
        self._places: dict[str, Path] = {}
        self._summaries: dict[str, Summary] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("tmp", "new", "cur"):
            (directory / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._files():
            self._remember(file)

    def deliver(self, raw: bytes, sender: str, recipient: str) -> bool:
        """Store one copy; ``False`` says that this recipient has this message already."""
        identity = _identity(raw, recipient)
        with self._lock:
            if identity in self._received:
                return False
            head = f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n".encode("utf-8", "surrogateescape")
            file = self._directory / "new" / identity
            if not self._write_once(file, head + raw):
                return False
            self._remember(file)
            return True

    def summaries(self, recipient: str = "") -> list[Summary]:
        """The newest first; ``recipient`` is any part of an address, in any case."""
        wanted = recipient.strip().casefold()
        everyone = list(self._received)  # a copy: deliveries go on meanwhile, and hold the lock while they sync
        summaries = [found for found in map(self._summary, everyone) if found is not None]
        found = [summary for summary in summaries if wanted in summary.recipient.casefold()]
        return sorted(found, key=lambda summary: (summary.received, summary.id), reverse=True)

    def message(self, identity: str) -> Message | None:
        raw = self.raw(identity)
        return None if raw is None else parse(identity, raw, self._received[identity])

    def raw(self, identity: str) -> bytes | None:
        """The message as it arrived. An id that was never given out finds nothing, whatever path it spells."""
        if identity not in self._received:
            return None
        try:
            return self._places[identity].read_bytes()
        except FileNotFoundError:  # a mail reader has moved it, or removed it
            self._places.update({_name(file): file for file in self._files()})
        try:
            return self._places[identity].read_bytes()
        except FileNotFoundError:
            return None

    def _files(self) -> Iterator[Path]:
        for folder in ("new", "cur"):
            yield from (self._directory / folder).iterdir()

    def _remember(self, file: Path) -> None:
        self._places[_name(file)] = file
        self._received[_name(file)] = datetime.fromtimestamp(file.stat().st_mtime_ns / 1e9, UTC)

    def _summary(self, identity: str) -> Summary | None:
        """What a list shows of a message; nothing once somebody has removed its file."""
        if identity not in self._summaries:
            message = self.message(identity)
            if message is None:
                return None
            self._summaries[identity] = message.summary
        return self._summaries[identity]

    def _write_once(self, file: Path, content: bytes) -> bool:
        draft = self._directory / "tmp" / uuid.uuid4().hex
        with open(draft, "xb", opener=_private) as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(draft, file)  # fails if it exists, also if another process has just made it
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        _sync_directory(file.parent)
        return True


def _identity(raw: bytes, recipient: str) -> str:
    message_id = header_of(raw, "Message-ID") or f"<{uuid.uuid4()}>"
    return hashlib.sha256(f"{message_id}\n{recipient.casefold()}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _private(file: str, flags: int) -> int:
    """Open a file that nobody but the server's user may read."""
    return os.open(file, flags, 0o600)


def _name(file: Path) -> str:
    return file.name.partition(":")[0]  # a mail reader that opened the Maildir has added flags


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
