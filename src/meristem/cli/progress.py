"""Progress of long work, as a bar on a terminal and as lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Final, TypeVar

import click

SECONDS: Final = 2.0  # between two lines

T = TypeVar("T")


class TerminalProgress:
    """Shows a bar on a terminal; elsewhere a line every few seconds."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
        # Not to the standard output, which may be JSON for a program.
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only a terminal pays for it
            from rich.progress import track  # noqa: PLC0415

            yield from track(items, description, total=total, console=Console(stderr=True))
            return
        yield from self._lines(items, description, total)

    def _lines(self, items: Iterable[T], description: str, total: int | None) -> Iterable[T]:
        said = time.monotonic()
        click.echo(f"{description} …", err=True)
        for count, item in enumerate(items, 1):
            yield item
            if time.monotonic() - said > SECONDS:
                said = time.monotonic()
                click.echo(f"{description}: {count}" + (f" of {total}" if total else ""), err=True)
        click.echo(f"{description}: done", err=True)


class CopyingProgress:
    """Says every few seconds how much of what is copied."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._said = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """So much of so much is done."""
        if time.monotonic() - self._said > SECONDS:
            self._said = time.monotonic()
            click.echo(f"{self._doing} {what}: {done * 100 // max(total, 1)} %", err=True)
