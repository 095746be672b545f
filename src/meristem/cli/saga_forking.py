"""`meristem sagas fork`: a saga again, from one of its steps on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import load_blueprint
from meristem.cli.output import print_json
from meristem.cli.saga_lookup import find_one, of_one_saga
from meristem.errors import CallError, Code, ConfigurationError
from meristem.runtime.rehearsal import Rehearsal
from meristem.sagas.administration import SagaStore
from meristem.sagas.forking import Fork
from meristem.sagas.replay import SagaJournal
from meristem.sagas.saga_views import KeptSignal
from meristem.storage.database import Database


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
    owner, found_id = find_one(blueprint, directory, saga_id, service)
    rehearsal = Rehearsal(blueprint)

    async def begin(_: str, database: Database) -> tuple[Fork, Sequence[KeptSignal]]:
        store = SagaStore(database)
        try:
            saga = await store.summary(found_id)
            made = await store.fork(found_id, position, rehearsal.definition(owner, saga.name))
            # The code that runs now would park it at once, which is to be known before anything is begun.
            journal = SagaJournal(service=owner, saga=made.saga, steps=made.steps)
            if (divergence := await rehearsal.replay(journal)) is not None:
                text = f"the code does not follow {saga.name} {found_id} up to step {position}: {divergence.text}"
                raise click.BadParameter(text, param_hint="SAGA_ID")
            unread = await store.unread(found_id)
            await store.begin(made)
        except (CallError, ConfigurationError) as error:
            text = error.message if isinstance(error, CallError) else str(error)
            is_step = isinstance(error, CallError) and error.code in (Code.NOT_FOUND, Code.OUT_OF_RANGE)
            raise click.BadParameter(text, param_hint="--from" if is_step else "SAGA_ID") from None
        return made, unread

    made, unread = in_each(blueprint, directory, owner, begin)[owner]
    if as_json:
        again = [{"position": row.position, "name": row.name} for row in made.again]
        print_json(
            {
                "id": made.saga.id, "fork_of": found_id, "takes_over": made.takes_over, "again": again,
                "signals": unread,
            }
        )  # fmt: skip
        return
    click.echo(f"{made.saga.name} {made.saga.id} begins at step {position} as soon as its service runs.")
    if made.takes_over:
        click.echo(f"It takes the place of {found_id}, which has ended.")
    for row in made.again:
        click.echo(f"  again, under a key of its own: step {row.position} ({row.name})")
    for each in unread:
        click.echo(f"  left with the old one, send it again if it is meant: the signal {each.name}")
