"""`meristem sagas fork`: a saga again, from one of its steps on."""

from __future__ import annotations

from pathlib import Path

import click

from meristem.cli.loading_system import load_blueprint
from meristem.cli.output import print_json
from meristem.cli.saga_answers import SagaAnswers
from meristem.cli.saga_lookup import find_one, of_one_saga
from meristem.errors import CallError, Code


@click.command()
@of_one_saga
@click.option(
    "--from",
    "position",
    required=True,
    metavar="STEP",
    help="The first step that is done anew; `show` has their numbers.",
)
def fork(
    saga_id: str, target: str | None, placement: Path | None, service: str | None, position: str, *, as_json: bool
) -> None:
    """Begin a saga again at one of its steps: a new saga, with the answers up to there."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = SagaAnswers(blueprint, directory, service)
    found = find_one(answers, saga_id)
    try:
        made = answers.one(found.service, lambda sagas: sagas.fork(found.service, found.saga.id, position))
    except CallError as error:
        is_step = error.code in (Code.NOT_FOUND, Code.OUT_OF_RANGE)
        raise click.BadParameter(error.message, param_hint="--from" if is_step else "SAGA_ID") from None
    if as_json:
        print_json(
            {
                "id": made.saga.id, "fork_of": made.fork_of, "takes_over": made.takes_over, "again": made.again,
                "signals": made.signals,
            }
        )  # fmt: skip
        return
    click.echo(f"{made.saga.name} {made.saga.id} begins at step {position} as soon as its service runs.")
    if made.takes_over:
        click.echo(f"It takes the place of {made.fork_of}, which has ended.")
    for row in made.again:
        click.echo(f"  again, under a key of its own: step {row.position} ({row.name})")
    for each in made.signals:
        click.echo(f"  left with the old one, send it again if it is meant: the signal {each.name}")
