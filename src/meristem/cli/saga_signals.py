"""`meristem sagas signal`: tells a running saga something, as an operation of its service would."""

from __future__ import annotations

from pathlib import Path

import click

from meristem.cli.loading_system import load_blueprint
from meristem.cli.output import print_json
from meristem.cli.saga_answers import SagaAnswers
from meristem.cli.saga_lookup import find_one, of_one_saga
from meristem.contracts.message import Message
from meristem.errors import CallError


class Signalled(Message):
    """A signal that was kept for a saga."""

    id: str
    name: str
    signal: str


@click.command()
@of_one_saga
@click.argument("name")
@click.argument("body", metavar="JSON", default="{}")
def signal(
    saga_id: str, name: str, body: str, target: str | None, placement: Path | None, service: str | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Send a signal to a saga, which gets it as soon as it waits for it."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = SagaAnswers(blueprint, directory, service)
    found = find_one(answers, saga_id)
    try:
        saga = answers.one(found.service, lambda sagas: sagas.signal(found.service, found.saga.id, name, body))
    except CallError as error:
        raise click.UsageError(error.message) from None
    sent = Signalled(id=saga.id, name=saga.name, signal=name)
    if as_json:
        print_json(sent)
    else:
        click.echo(f"{sent.name} {sent.id} gets the signal {name} as soon as it waits for it.")
