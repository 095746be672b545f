"""`meristem contracts check`: what of a system's contracts would break those who rely on them."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from meristem.cli.loading_system import json_option, load_blueprint, system_argument
from meristem.cli.output import print_json, writing
from meristem.cli.past import allowed_changes, snapshot_before
from meristem.contracts.evolution.breaking import breaking_changes
from meristem.contracts.evolution.change import Change, ChangeKind
from meristem.contracts.evolution.snapshot import write_snapshot
from meristem.system.snapshots import snapshot_of


@click.command()
@system_argument
@click.option(
    "--against", metavar="GIT_REF|DIR|FILE", help="What it was: a commit, a folder of the project, or a snapshot."
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write a snapshot to compare with later.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([each.value for each in ChangeKind]),
    help="Only changes of this kind; all three by default.",
)
@json_option
def check(target: str | None, *, against: str | None, save: Path | None, kinds: tuple[str, ...], as_json: bool) -> None:
    """Find changes of contracts that break callers, subscribers, or what is kept; exit with 1 where there are any."""
    if (against is None) == (save is None):
        raise click.UsageError("say what it was, --against main, or where to keep what it is, --save contracts.json")
    if save is not None and (kinds or as_json):
        raise click.UsageError("--kind and --json are for what --against finds: --save keeps all there is, as JSON")
    blueprint, root = load_blueprint(target)
    now = snapshot_of(blueprint, root)
    if save is not None:
        with writing(save):
            save.write_bytes(write_snapshot(now))
        return
    assert against is not None
    before = snapshot_before(against, target, Path.cwd())
    wanted = {ChangeKind(each) for each in kinds} or set(ChangeKind)
    found = [each for each in breaking_changes(before, now) if wanted & set(each.kinds)]
    allowed = allowed_changes(root)
    broken = [each for each in found if each.key not in allowed]
    if as_json:
        print_json({
            "breaking": [_row(each) for each in broken],
            "allowed": {each.key: allowed[each.key] for each in found if each.key in allowed},
            "unread": now.unread,
        })  # fmt: skip
    else:
        _print(broken, len({each.key for each in found if each.key in allowed}))
        for service, why in now.unread.items():
            click.echo(f"{service} was not read, so its sagas and events were not compared: {why}", err=True)
    if broken:
        raise SystemExit(1)


def _row(change: Change) -> dict[str, object]:
    return {**msgspec.structs.asdict(change), "key": change.key}


def _print(broken: list[Change], allowed: int) -> None:
    for each in broken:
        place = f"{each.file}:{each.line}: " if each.file else ""
        kinds = ", ".join(kind.name for kind in each.kinds)
        click.echo(f"{place}[{each.rule}] {kinds}: {each.where} {each.says}")
        if each.uses:
            click.echo(f"    it crosses in {_some(each.uses)}")
        click.echo(f"    {each.remedy}")
    said = f"{len(broken)} breaking {'change' if len(broken) == 1 else 'changes'}" if broken else "Nothing breaks"
    click.echo(said + (f", {allowed} allowed" if allowed else "") + ".")


def _some(uses: tuple[str, ...]) -> str:
    shown, more = uses[:3], len(uses) - 3
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
