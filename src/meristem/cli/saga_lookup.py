"""Finds the saga that a verb is about, by the beginning of its id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.saga_answers import SagaAnswers
from meristem.errors import CallError
from meristem.operators.saga_contract import FoundSaga, SagaOperations, SagaSearch
from meristem.sagas.administration import GOING
from meristem.sagas.saga_views import SagaSummary
from meristem.system.blueprint import Blueprint

SEVERAL: Final = 10  # sagas whose ids begin alike, to be told apart
Told = TypeVar("Told")

service_option = click.option("--service", help="Only sagas of this service.")


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


def find_one(answers: SagaAnswers, prefix: str, *, hint: str = "SAGA_ID") -> FoundSaga:
    """The one saga whose id begins so; a wrong argument otherwise."""
    found = answers.find(SagaSearch(id=prefix), SEVERAL).sagas if prefix else []
    if not found:
        text = "no service has a saga of this id; `meristem sagas list` shows them"
        raise click.BadParameter(text, param_hint=hint)
    if len(found) > 1:
        several = ", ".join(each.saga.id for each in found)
        raise click.BadParameter(f"several sagas begin so: {several}; write more of it", param_hint=hint)
    return found[0]


def ask_one(
    prefix: str,
    target: str | None,
    placement: Path | None,
    service: str | None,
    question: Callable[[SagaOperations, str, str], Awaitable[Told]],
) -> Told:
    """What is answered on the saga whose id begins so; a wrong argument where its state forbids it."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = SagaAnswers(blueprint, directory, service)
    found = find_one(answers, prefix)
    try:
        return answers.one(found.service, lambda sagas: question(sagas, found.service, found.saga.id))
    except CallError as error:
        raise click.BadParameter(error.message, param_hint="SAGA_ID") from None
