"""`meristem sagas list`: which sagas there are, by state, name, age and the fields that they declare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.cli.saga_lookup import Moment, check_saga, find_one, service_option, shown_state, shown_time
from meristem.sagas.administration import SagaStore
from meristem.sagas.records import SagaState
from meristem.sagas.saga_views import SagaSummary
from meristem.sagas.search_index import Searchable
from meristem.storage.database import Database
from meristem.system.blueprint import Blueprint


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
    saga = None if after is None else _last(blueprint, directory, after)
    last = None if saga is None else (saga.created, saga.id)
    wanted = [SagaState(each) for each in states]
    declared: list[Searchable] = []

    async def find(_: str, database: Database) -> Sequence[SagaSummary]:
        store = SagaStore(database)
        if fields:
            declared.extend(await store.searchable())
        return await store.list(
            *wanted,
            name=name,
            before=before,
            since=since,
            after=last,
            where=fields,
            limit=limit + 1,
        )

    found = in_each(blueprint, directory, service, find)
    if name is not None and not any(found.values()):
        check_saga(blueprint, name)  # only now: one that the code has no longer may be in a journal
    _check(fields, [each for each in declared if name in (None, each.saga)])
    # The newest of all services, so that one saga tells where the next page begins.
    newest = sorted(
        ((each, owner) for owner, summaries in found.items() for each in summaries),
        key=lambda one: (one[0].created, one[0].id), reverse=True,
    )  # fmt: skip
    page = newest[:limit]
    if as_json:
        print_json({owner: [each for each, its in page if its == owner] for owner in found})
        return
    rows = [
        [
            owner, each.id, each.name, shown_state(each), shown_time(each.created), shown_time(each.updated),
            each.problem or each.error or "",
        ]
        for each, owner in page
    ]  # fmt: skip
    print_table("sagas", ["service", "id", "saga", "state", "began", "updated", "problem"], rows, "No sagas.")
    if len(newest) > limit:
        click.echo(f"There are more: add --after {page[-1][0].id}")


def _last(blueprint: Blueprint, directory: Path, prefix: str) -> SagaSummary:
    owner, saga_id = find_one(blueprint, directory, prefix, None, hint="--after")

    async def read(_: str, database: Database) -> SagaSummary:
        return await SagaStore(database).summary(saga_id)

    return in_each(blueprint, directory, owner, read)[owner]


def _field(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{written!r} is no FIELD=VALUE, as in guest_id=42", param_hint="--where")
    return name, value


def _check(fields: Iterable[str], declared: Sequence[Searchable]) -> None:
    """Refuse a field that no saga is found by, and say where old sagas are not found yet."""
    for field in fields:
        of_it = [each for each in declared if each.field == field]
        if not of_it:
            there_are = ", ".join(f"{each.field} of {each.saga}" for each in declared) or "none"
            text = f"no saga is found by {field!r}: @saga(search=[{field!r}]) declares it; there are {there_are}"
            raise click.BadParameter(text, param_hint="--where")
        for each in of_it:
            if each.upto is None:
                text = f"old sagas of {each.saga} are not found by {field} yet: its service is still adding them"
                click.echo(text, err=True)
