"""`meristem sagas list`: which sagas there are, by state, name, age and the fields that they declare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.moments import Moment
from meristem.cli.output import print_json, print_table
from meristem.cli.saga_answers import SagaAnswers
from meristem.cli.saga_lookup import check_saga, find_one, service_option, shown_state, shown_time
from meristem.operators.saga_contract import SagaPlace, SagaSearch, SearchableField
from meristem.sagas.records import SagaState


@click.command(name="list")
@system_argument
@placement_option
@service_option
@click.option(
    "--state", "states", multiple=True, type=click.Choice([each.value for each in SagaState]),
    help="Only those in this state; may be repeated.",
)  # fmt: skip
@click.option("--saga", "name", metavar="NAME", help="Only those of this name.")
@click.option("--before", type=Moment(), help="Only those that began before: a time, or an age such as 2h.")
@click.option("--since", type=Moment(), help="Only those that began since then.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only those with this value; may be repeated.")
@click.option("--after", metavar="SAGA_ID", help="The page after this saga, the last one of a page.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many a page has.")
@json_option
def list_(
    target: str | None, placement: Path | None, service: str | None, states: tuple[str, ...], name: str | None,
    before: datetime | None, since: datetime | None, where: tuple[str, ...], after: str | None, limit: int, *,
    as_json: bool,
) -> None:  # fmt: skip
    """List sagas, the newest first."""
    if since is not None and before is not None and since >= before:
        raise click.BadParameter("it is not before --before: no saga can have begun between them", param_hint="--since")
    fields = dict(_field(each) for each in where)
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = SagaAnswers(blueprint, directory, service)
    last = None if after is None else find_one(SagaAnswers(blueprint, directory), after, hint="--after").saga
    search = SagaSearch(
        states=[SagaState(each) for each in states], name=name or "", before=before, since=since, where=fields,
        after=None if last is None else SagaPlace(created=last.created, id=last.id),
    )  # fmt: skip
    found = answers.find(search, limit)
    if name is not None and not found.sagas:
        check_saga(blueprint, name)  # only now: one that the code has no longer may be in a journal
    if fields:
        declared = [each for of in answers.overview().services for each in of.fields]
        _check(fields, [each for each in declared if name in (None, each.saga)])
    if as_json:
        print_json(answers.by_service(found))
        return
    rows = [
        [
            each.service, each.saga.id, each.saga.name, shown_state(each.saga), shown_time(each.saga.created),
            shown_time(each.saga.updated), each.saga.problem or each.saga.trying or each.saga.error or "",
        ]
        for each in found.sagas
    ]  # fmt: skip
    print_table("sagas", ["service", "id", "saga", "state", "began", "updated", "problem"], rows, "No sagas.")
    if found.more:
        click.echo(f"There are more: add --after {found.sagas[-1].saga.id}")


def _field(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{written!r} is no FIELD=VALUE, as in guest_id=42", param_hint="--where")
    return name, value


def _check(fields: Iterable[str], declared: Sequence[SearchableField]) -> None:
    """Refuse a field that no saga is found by, and say where old sagas are not found yet."""
    for field in fields:
        of_it = [each for each in declared if each.field == field]
        if not of_it:
            there_are = ", ".join(f"{each.field} of {each.saga}" for each in declared) or "none"
            text = f"no saga is found by {field!r}: @saga(search=[{field!r}]) declares it; there are {there_are}"
            raise click.BadParameter(text, param_hint="--where")
        for each in of_it:
            if not each.whole:
                text = f"old sagas of {each.saga} are not found by {field} yet: its service is still adding them"
                click.echo(text, err=True)
