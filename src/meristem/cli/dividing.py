"""`meristem check --divided`: whether the tests of a system see the same wherever its services live."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from meristem.checking.check_options import read_options
from meristem.cli.output import counted, print_json
from meristem.config.project import nearest
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meristem.testing.divided.comparison import Difference
    from meristem.testing.divided.suite_check import SuiteReport

LONGEST: Final = 2000  # characters of a value that is shown
HINTS: Final = {
    "wire": (
        "over the wire each call that its contract lets be repeated (@safe, @idempotent, @once) is sent twice on "
        "purpose: does one of them change something each time?"
    ),
    "processes": (
        "each service has a process of its own there: what do two of them share in one? `meristem check` looks for it "
        "in the source"
    ),
}


def divide(target: str | None, arguments: Sequence[str], *, as_json: bool) -> None:
    """Run the tests in every placement, and exit with 1 where they differ or fail."""
    if target is not None:
        raise click.UsageError("--divided runs the systems that the tests name; leave --system out")
    if importlib.util.find_spec("pytest") is None:
        raise ConfigurationError("check --divided runs the tests by pytest: pip install pytest pytest-asyncio")
    from meristem.testing.divided.runs import Runs, WrongArgumentsError  # noqa: PLC0415 - as above
    from meristem.testing.divided.suite_check import check  # noqa: PLC0415 - it imports pytest

    here = Path.cwd()
    off = _off(here)
    given = [each for number, each in enumerate(arguments) if (number, each) != (0, "--")]
    try:
        report = check(Runs(given, list(off), here), lambda text: click.echo(text, err=True))
    except WrongArgumentsError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        print_json(msgspec.to_builtins(report) | {"off": off})
    else:
        _print(report, off)
    if not report.well:
        raise SystemExit(1)


def _off(here: Path) -> dict[str, str]:
    """The tests that the project switches off, and why."""
    project = nearest(here)
    return {} if project is None else read_options(project, None).tests_off()


def _print(report: SuiteReport, off: Mapping[str, str]) -> None:
    from meristem.testing.divided.suite_check import NAMES  # noqa: PLC0415 - as above

    if report.failed:
        for name, reason in report.failed.items():
            click.echo(f"{name}: {next(iter(reason.splitlines()), 'failed')}")
        click.echo("The suite must pass in one process before it can be compared: mend it; `pytest` tells more.")
        return
    for line in _left_out(report, off, NAMES):
        click.echo(line)
    if report.differences:
        first, *others = report.differences
        _print_difference(first, NAMES[first.where])
        click.echo(f"  {HINTS[first.where]}")
        for each in others:
            click.echo(f"{each.test} differs, too")
        click.echo("1 difference." if not others else f"{len(report.differences)} differences.")
    elif not any(report.compared.values()):
        click.echo("Nothing was compared: no test could be run elsewhere.")
    else:
        counts = ", ".join(f"{counted(count, 'test')} {NAMES[where]}" for where, count in report.compared.items())
        varying = counted(max(report.varying.values(), default=0), "value")
        click.echo(f"Nothing differs: {counts}; {varying} varied by themselves.")


def _left_out(report: SuiteReport, off: Mapping[str, str], names: Mapping[str, str]) -> Iterator[str]:
    """What was not compared, and why."""
    for where, apart in report.apart.items():
        yield from (f"not compared {names[where]}: {name}: {reason}" for name, reason in apart.items())
    yield from (f"events not compared: {name}: {reason}" for name, reason in report.unsettled.items())
    yield from (f"switched off: {name}: {reason}" for name, reason in off.items())
    if report.alone:
        yield f"{counted(report.alone, 'test')} without running(...): nothing to compare"


def _print_difference(found: Difference, where: str) -> None:
    click.echo(f"{found.test} differs {where}")
    if found.reason:
        click.echo(f"    it fails: {found.reason}")
    if found.file:
        click.echo(
            f"  {_relative(found.file)}:{found.line}: call {found.number}, {found.operation}({_value(found.arguments)})"
        )
    if found.kind == "calls":
        click.echo(f"    is called {found.expected} times in one process, and {found.found} {where}")
    elif found.kind == "happenings":
        click.echo(f"    {found.at}: {found.expected} times in one process, and {found.found} {where}")
    elif found.kind == "event":
        click.echo(f"  {found.operation}, which")
        click.echo(f"    in one process carries: {_value(found.expected)}")
        click.echo(f"    {where} carries: {_value(found.found)}")
        click.echo(f"    they differ in {found.at}" + (f": {found.why}" if found.why else ""))
    elif found.operation:
        does = "was asked" if found.kind == "arguments" else "answered"
        click.echo(f"    in one process it {does}: {_value(found.expected)}")
        click.echo(f"    {where} it {does}: {_value(found.found)}")
        click.echo(f"    they differ in {found.at}" + (f": {found.why}" if found.why else ""))


def _value(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def _relative(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
