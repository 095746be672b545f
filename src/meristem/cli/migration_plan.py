"""Shows a migration that is still to come: each revision, its statements, and what they do to the running release."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from meristem.cli.output import print_json
from meristem.storage.planned import PlannedRevision, PlannedStep
from meristem.storage.survival import Effect, Survival

_COLOURS: Final = {Survival.SAFE: "green", Survival.LOOK: "yellow", Survival.UNSAFE: "red"}
_WIDTH: Final = 110


def print_plan(found: Mapping[str, Sequence[PlannedRevision]], *, as_json: bool) -> None:
    """Print what is planned for each service."""
    if as_json:
        print_json({name: [_as_data(each) for each in planned] for name, planned in found.items()})
        return
    for name, planned in found.items():
        click.echo(f"{name}: {f'{len(planned)} pending' if planned else 'up to date'}")
        for line in _service(planned):
            click.echo(line)
    if not found:
        click.echo("No service has a database.")
    refused = sum(each.needs_consent for planned in found.values() for each in planned)
    if refused:
        click.echo(f"\n{refused} of them must be asked for: `meristem migrate --unsafe`.")


def _service(planned: Sequence[PlannedRevision]) -> Iterator[str]:
    quiet = [each.revision for each in planned if each.of_framework and each.verdict is Survival.SAFE]
    if quiet:
        yield from _folded(f"of the framework's own tables: {', '.join(quiet)}", "  ")
    for each in planned:
        if each.revision not in quiet:
            yield from _revision(each)


def _revision(planned: PlannedRevision) -> Iterator[str]:
    title = f"{planned.revision}  {planned.message.splitlines()[0]}" if planned.message else planned.revision
    yield ""
    yield f"  {click.style(title, bold=True)}  {_styled(planned.verdict)}"
    for step in planned.steps:
        yield from _step(step)
    if planned.fails is not None:
        yield ""
        yield from _folded(f"fails on a copy of the tables without rows: {planned.fails}", "    ")
    if (said := mark(planned)) is not None:
        yield ""
        yield from _folded(said, "    ")


def mark(planned: PlannedRevision) -> str | None:
    """What to tell of a mark that is not what was found."""
    if planned.compatible and planned.verdict is Survival.UNSAFE:
        return "it is marked `compatible = True`, and is not: the release before would be let run on what it leaves"
    if not planned.compatible and planned.verdict is Survival.SAFE and not planned.of_framework:
        return "it is not marked `compatible = True`: the release before is refused once it is applied"
    if not planned.compatible and planned.verdict is Survival.LOOK and planned.fails is None:
        return "where you have looked and the release before can run on it, mark it `compatible = True`"
    return None


def _step(step: PlannedStep) -> Iterator[str]:
    for statement in step.statements:
        yield ""
        for line in statement.expandtabs(2).splitlines():
            yield f"    {line.rstrip()}"
    for found in step.effects:
        yield from _effect(found)


def _effect(found: Effect) -> Iterator[str]:
    lines = list(_folded(f"{found.verdict.value}: {found.what}", "      "))
    yield click.style(lines[0], fg=_COLOURS[found.verdict])
    yield from lines[1:]
    if found.hurts:
        yield from _folded(found.hurts, "        ")
    if found.instead:
        yield from _folded(f"instead: {found.instead}", "        ")


def _folded(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _styled(verdict: Survival) -> str:
    return click.style(verdict.value.upper(), fg=_COLOURS[verdict])


def _as_data(planned: PlannedRevision) -> dict[str, Any]:
    return {
        "revision": planned.revision,
        "message": planned.message,
        "compatible": planned.compatible,
        "verdict": planned.verdict,
        "needs_unsafe": planned.needs_consent,
        "mark": mark(planned),
        "fails": planned.fails,
        "steps": planned.steps,
    }
