"""`meristem check`: whether a system can be divided."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from meristem.checking.baseline import Judged, judge, read_baseline, write_baseline
from meristem.checking.check import check as findings_of
from meristem.checking.check_options import read_options
from meristem.checking.finding import Finding
from meristem.cli.dividing import divide
from meristem.cli.loading_system import json_option, load_blueprint, system_option
from meristem.cli.output import counted, print_json
from meristem.config.project import find, nearest


@click.command(context_settings={"ignore_unknown_options": True})
@system_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SYSTEM] | --divided [PYTEST ARGS]...")
@click.option("--divided", is_flag=True, help="Run the tests in one process, over the wire and in processes instead.")
@click.option("--update-baseline", is_flag=True, help="Make what is found now what is known.")
@json_option
def check(
    target: str | None, arguments: tuple[str, ...], *, divided: bool, update_baseline: bool, as_json: bool
) -> None:
    """Find what services reach of one another by other ways than their contracts; exit with 1 where they do.

    With --divided, find what the system's tests show elsewhere than in one process; all other arguments are pytest's.
    """
    if divided:
        if update_baseline:
            raise click.UsageError("--update-baseline is for what the source shows, not for --divided")
        divide(target, arguments, as_json=as_json)
        return
    if unknown := [each for each in arguments if each.startswith("-")]:
        raise click.NoSuchOption(unknown[0])
    if len(arguments) + (target is not None) > 1:
        raise click.UsageError(
            f"more than one system is named, {', '.join(filter(None, (*arguments, target)))}; name one"
        )
    target = arguments[0] if arguments else target
    reference = find(target, Path.cwd())
    blueprint, root = load_blueprint(target)
    plan = blueprint.plan
    project = nearest(root) or root / "pyproject.toml"
    options = read_options(project, [each.name for part in (plan.services, plan.apps, plan.external) for each in part])
    found = findings_of(plan, reference.path, root, options)
    baseline = project.parent / options.baseline
    if update_baseline:
        write_baseline(baseline, found)
    judged = judge(found, read_baseline(baseline))
    if as_json:
        print_json({"new": [_row(each) for each in judged.new], "known": judged.known, "gone": judged.gone})
    else:
        _print(judged, options.rules_off(), baseline)
    if not judged.well:
        raise SystemExit(1)


def _row(finding: Finding) -> dict[str, object]:
    return {**msgspec.structs.asdict(finding), "key": finding.key}


def _print(judged: Judged, off: list[str], baseline: Path) -> None:
    for each in judged.new:
        click.echo(f"{each.file}:{each.line}: [{each.rule}] {' and '.join(each.parts)}: {each.problem}")
        click.echo(f"    {each.remedy}")
    for key, count in judged.gone.items():
        click.echo(f"{baseline.name}: {counted(count, 'fault')} gone: {key}")
    if judged.gone:
        click.echo("    take them out of the baseline: meristem check --update-baseline")
    said = [counted(len(judged.new), "new finding") if judged.new else "Nothing new was found"]
    if not judged.known and not judged.new:
        said = ["Nothing was found"]
    said += [f"{judged.known} known"] if judged.known else []
    said += [f"switched off: {', '.join(off)}"] if off else []
    click.echo(", ".join(said) + ".")
