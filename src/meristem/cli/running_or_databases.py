"""One answer of a system for the command: by who runs it, and of databases where nobody does, or answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import click

from meristem.cli.databases import in_each, names_with_database, open_database
from meristem.cli.running_operators import ask_run
from meristem.errors import CallError, Code
from meristem.operators.action_log import ActionLog
from meristem.system.state_directory import ACTIONS, StateDirectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint


class Merged(Protocol):
    """What several services answer, of which some are silent."""

    @property
    def silent(self) -> list[str]:
        """The services that did not answer."""
        ...


Answerer = TypeVar("Answerer")
Part = TypeVar("Part", bound=Merged)
Told = TypeVar("Told")


class RunningOrDatabases(Generic[Answerer]):
    """Asks by a `contract` who runs a system, and else a `desk` over the database of each service.

    `service` is the only one that is asked of, if any; `services` are those with databases that are meant.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        directory: Path,
        service: str | None,
        contract: type[Any],
        desk: Callable[[str, Database], Answerer],
    ) -> None:
        self.services = names_with_database(blueprint, service)
        self._blueprint = blueprint
        self._directory = directory
        self._service = service
        self._contract = contract
        self._desk = desk
        self._log = ActionLog(StateDirectory(directory, blueprint.system.name).path / ACTIONS)

    def run(self, question: Callable[[Answerer], Awaitable[Told]]) -> Told | None:
        """What the running system answers; None where none does. Raises CallError for what it refuses."""
        return ask_run(self._blueprint, self._directory, self._contract, question)

    def merged(
        self,
        question: Callable[[Answerer], Awaitable[Part]],
        merge: Callable[[Sequence[Part], Sequence[str]], Part],
    ) -> Part:
        """One answer of all that have one: the run, and the databases of services of which that knows nothing."""
        told: Part | None
        try:
            told = self.run(question)
        except CallError as error:  # of the one service that was asked for
            if not is_away(error):
                raise
            told = None
        silent = self.services if told is None else [each for each in told.silent if each in self.services]
        if told is not None and not silent:
            return told

        async def look(name: str, database: Database) -> Part:
            return await question(self._logged(name, database))

        rest = in_each(self._blueprint, self._directory, self._service, look, only=silent)
        lost = [] if told is None else [each for each in silent if self.is_lost(each)]
        return merge([*([] if told is None else [told]), *rest.values()], lost)

    def one(self, service: str, question: Callable[[Answerer], Awaitable[Told]]) -> Told:
        """What is answered on something of this service; CallError for what is refused."""
        try:
            told = self.run(question)
        except CallError as error:
            if not is_away(error) or self.is_lost(service):
                raise
            told = None  # its process is gone, and what it keeps is not
        return self.of_database(service, question) if told is None else told

    def of_database(self, service: str, question: Callable[[Answerer], Awaitable[Told]], *, make: bool = False) -> Told:
        """What the database of one service answers, which is made where it may be."""

        async def look(name: str, database: Database) -> Told:
            return await question(self._logged(name, database))

        return in_each(self._blueprint, self._directory, service, look, make=make)[service]

    def _logged(self, name: str, database: Database) -> Answerer:
        """The desk over a database, where what is done stands in the log of actions as if the system ran."""
        from meristem.operators.logged_desk import LoggedDesk  # noqa: PLC0415 - takes time to import

        return cast("Answerer", LoggedDesk(self._desk(name, database), self._contract, self._log))

    def is_lost(self, service: str) -> bool:
        """Whether what a silent service keeps is in its process alone."""
        return open_database(self._blueprint, self._directory, service).is_temporary

    def lasts(self, service: str) -> bool:
        """Whether the database of a service is there and does not end with a run."""
        database = open_database(self._blueprint, self._directory, service)
        return not database.is_temporary and database.exists()


def is_away(error: CallError) -> bool:
    """Whether a process did not answer, and did nothing: then what its database says may be told in its place."""
    return error.code is Code.UNAVAILABLE and not error.may_have_happened


def warn_of(silent: Sequence[str]) -> None:
    """Say what is missing."""
    if silent:
        click.echo(f"{', '.join(silent)} did not answer, and nobody else knows what it keeps", err=True)
