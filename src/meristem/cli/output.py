"""Prints what a command found: a table for people, JSON for programs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from meristem.errors import OperationError

GAP: Final = 3  # spaces between two columns
NARROWEST: Final = 20  # characters of a line of folded text
UNBOUNDED: Final = 10_000  # characters of a line that nobody folds


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows as a table, or say that there are none.

    The last column is text and is folded where a terminal is too narrow; the others hold ids, names and numbers, which
    are never cut. Where there is no terminal nothing is folded: one row is one line.
    """
    from rich.table import Table  # noqa: PLC0415 - takes 40 ms that JSON output needs not spend
    from rich.text import Text  # noqa: PLC0415 - as above

    if not rows:
        click.echo(empty)
        return
    # Above the table, not in it: there it would be folded where the rows are shorter.
    if title:
        print_rich(Text(title, style="italic"))
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    widths = [
        max(len(line) for cell in cells for line in cell.splitlines() or [""]) for cells in zip(*rows, strict=True)
    ]
    widths = [max(width, len(column)) for width, column in zip(widths, columns, strict=True)]
    *fixed, last = columns
    for column in fixed:
        table.add_column(column, no_wrap=True)
    table.add_column(last, overflow="fold")
    for row in rows:
        table.add_row(*map(escaped, row))
    least = sum(width + GAP for width in widths[:-1]) + min(widths[-1], NARROWEST)
    print_rich(table, least=least, whole=sum(width + GAP for width in widths))


def escaped(text: str) -> Any:
    """Text as it is: brackets in it are no markup."""
    from rich.text import Text  # noqa: PLC0415 - as above

    return Text(text)


def print_rich(shown: Any, *, least: int = 0, whole: int = UNBOUNDED) -> None:
    """Print by rich: as wide as the terminal but not narrower than `least`, without one as wide as it is."""
    from rich.console import Console  # noqa: PLC0415 - as above

    console = Console(soft_wrap=False)
    if console.is_terminal:
        console.width = max(console.width, least)
        console.print(shown, crop=False)
        return
    console.width = whole
    with console.capture() as written:
        console.print(shown, crop=False)
    # What fills a line up to the width of all is for no program.
    click.echo("\n".join(line.rstrip() for line in written.get().splitlines()))


def is_of_output(error: OSError) -> bool:
    """Whether it was raised while something was printed: by click, by rich, or at the end, when buffers are emptied."""
    calls = traceback.extract_tb(error.__traceback__)
    printers = (f"{os.sep}click{os.sep}", f"{os.sep}rich{os.sep}")
    return bool(calls) and error.filename is None and any(each in calls[-1].filename for each in printers)


def give_up_output() -> None:
    """Let what is left of the output go: Python would else fail over it once more as it ends, with its own code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    os.close(nowhere)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where a file that was asked for is written: what the operating system refuses is told with its name."""
    try:
        yield
    except OSError as error:
        text = f"cannot write {path}: {error.strerror}; make room, or name a place that may be written"
        raise OperationError.of_system(text, error) from None


def counted(count: int, what: str) -> str:
    """A number of things in words: `1 test`, `2 tests`."""
    return f"{count} {what}" + ("" if count == 1 else "s")
