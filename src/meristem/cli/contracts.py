"""`meristem contracts`: what others may know of a system, written for them and compared with what it was."""

from __future__ import annotations

import click

from meristem.cli.describing import export
from meristem.cli.evolving import check
from meristem.cli.importing import import_, lock
from meristem.cli.verb_groups import VerbGroup


@click.group(cls=VerbGroup)
def contracts() -> None:
    """Write contracts for other languages, make them of theirs, and find what would break those who use them."""


contracts.add_command(export)
contracts.add_command(check)
contracts.add_command(import_)
contracts.add_command(lock)
