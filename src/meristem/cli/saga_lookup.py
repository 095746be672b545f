"""Finds the saga that a verb is about, by the beginning of its id."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.errors import CallError
from meristem.sagas.administration import GOING, SagaStore
from meristem.sagas.saga_views import SagaSummary
from meristem.storage.database import Database
from meristem.system.blueprint import Blueprint

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"(\d+)([smhdw])")

service_option = click.option("--service", help="Only sagas of this service.")


class Moment(click.ParamType[datetime]):
    """A time of day, or how long ago: `2h`, `7d`, `2026-11-28`, `2026-11-28T06:00`; UTC where nothing else is said."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if (age := _AGE.fullmatch(value)) is not None:
                return datetime.now(UTC) - timedelta(**{UNITS[age[2]]: int(age[1])})
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write an age (30m, 2h, 7d) or a time (2026-11-28T06:00)", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def shown_time(moment: datetime) -> str:
    """A time as people read it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def shown_state(saga: SagaSummary) -> str:
    """A saga's state as people read it: also that one which goes on was cancelled, and is to be undone."""
    is_to_be_undone = saga.cancelled and saga.state in GOING
    return f"{saga.state}, cancelled" if is_to_be_undone else saga.state.value


def of_one_saga(verb: Any) -> Any:
    """The argument and the options of a verb that is about one saga."""
    for each in (json_option, service_option, placement_option, system_option, click.argument("saga_id")):
        verb = each(verb)
    return verb


def check_saga(blueprint: Blueprint, name: str) -> None:
    """Refuse a name that no saga of the system's code has."""
    known = [saga for each in blueprint.plan.services for saga in each.sagas]
    if name not in known:
        there_are = ", ".join(known) or "none"
        raise click.BadParameter(f"no service has a saga {name!r}; there are {there_are}", param_hint="--saga")


def find_one(
    blueprint: Blueprint, directory: Path, prefix: str, service: str | None, *, hint: str = "SAGA_ID"
) -> tuple[str, str]:
    """The service and the whole id of the one saga whose id begins so; a wrong argument otherwise."""

    async def look(_: str, database: Database) -> Sequence[str]:
        return await SagaStore(database).ids(prefix) if prefix else []

    found = [(name, each) for name, ids in in_each(blueprint, directory, service, look).items() for each in ids]
    if not found:
        text = "no service has a saga of this id; `meristem sagas list` shows them"
        raise click.BadParameter(text, param_hint=hint)
    if len(found) > 1:
        several = ", ".join(each for _, each in found)
        raise click.BadParameter(f"several sagas begin so: {several}; write more of it", param_hint=hint)
    return found[0]


def ask_one(
    prefix: str,
    target: str | None,
    placement: Path | None,
    service: str | None,
    work: Callable[[SagaStore, str], Awaitable[Any]],
) -> Any:
    """What `work` says of the saga whose id begins so; a wrong argument where its state forbids it."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    owner, saga_id = find_one(blueprint, directory, prefix, service)

    async def ask(_: str, database: Database) -> Any:
        try:
            return await work(SagaStore(database), saga_id)
        except CallError as error:
            raise click.BadParameter(error.message, param_hint="SAGA_ID") from None

    return in_each(blueprint, directory, owner, ask)[owner]
