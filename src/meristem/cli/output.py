"""Prints what a command found: a table for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows as a table, or say that there are none."""
    from rich.console import Console  # noqa: PLC0415 - takes 40 ms that JSON output needs not spend
    from rich.table import Table  # noqa: PLC0415

    if not rows:
        click.echo(empty)
        return
    table = Table(
        title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def say(text: str = "", **style: Any) -> None:
    """Print a line of what runs on; a screen that is gone (a closed terminal, `| head`) does not end it."""
    try:
        click.secho(text, **style)
    except OSError:
        forget_lost_screens()


def forget_lost_screens() -> None:
    """Write to nothing from now on where what was written has nowhere to go: Python's exit would fail of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
