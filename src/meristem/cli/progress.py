"""Progress of long work, as a bar on a terminal and as lines in a log."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import click

from meristem.stop_signals import Interrupted

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


async def while_it_lasts(what: str, work: Awaitable[T]) -> T:
    """What the work comes to; every few seconds it is said that it still goes on, and for how long."""
    saying = asyncio.get_running_loop().create_task(_say_again(what))
    try:
        return await work
    finally:
        saying.cancel()


async def _say_again(what: str) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(SECONDS)
        click.echo(f"{what} … {time.monotonic() - began:.0f} s", err=True)


@contextmanager
def telling_interrupts(text: str) -> Iterator[None]:
    """What has become of the work is told when Ctrl-C or a signal ends it."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        click.echo(f"interrupted: {text}", err=True)
        raise


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


class CountingProgress:
    """Says every few seconds how many of what nobody has counted are done."""

    def __init__(self, done: str) -> None:
        self._done = done
        self._said = time.monotonic()

    def tell(self, count: int) -> None:
        """So many are done by now."""
        if time.monotonic() - self._said > SECONDS:
            self._said = time.monotonic()
            click.echo(f"{self._done}: {count} …", err=True)
