"""Services as their constructors make them, in which nothing is started: for replays of their sagas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from meristem.contracts.call import connected
from meristem.contracts.contract import operations
from meristem.errors import ConfigurationError, MisuseError
from meristem.runtime.injection import Injection
from meristem.runtime.options import Options
from meristem.runtime.settings_source import SettingsSource
from meristem.sagas.replay import Divergence, SagaJournal, replay
from meristem.sagas.saga import Definition, sagas_of
from meristem.services.client import make_client
from meristem.services.container import build
from meristem.services.outbound import entry
from meristem.storage.database import Database, database_for
from meristem.system.placement_tables import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meristem.contracts.call import Call
    from meristem.services.service import Need
    from meristem.system.blueprint import Blueprint

ContractT = TypeVar("ContractT")
Result = TypeVar("Result")


class Rehearsal:
    """Replays journals against the code of a system; `overrides` are settings by service, as tests give them."""

    def __init__(
        self,
        blueprint: Blueprint,
        *,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._blueprint = blueprint
        # A replay asks nothing of an app, but a setting may name one.
        names = [*(each.name for each in blueprint.plan.apps), *(each.name for each in blueprint.plan.programs)]
        self._options = Options(
            overrides=overrides, environment=environment, apps=dict.fromkeys(names, "http://nobody.invalid")
        )
        self._services: dict[str, Any] = {}

    def definition(self, service: str, saga: str) -> Definition:
        """A saga as the code declares it; ConfigurationError where it declares none of this name."""
        names = [each.name for each in self._blueprint.plan.services]
        if service not in names:
            raise ConfigurationError(f"the system has no service {service!r}; it has {', '.join(names)}")
        known = sagas_of(self._blueprint.spec(service).implementation)
        if saga not in known:
            raise ConfigurationError(f"{service} has no saga {saga!r}; it has {', '.join(known) or 'none'}")
        return known[saga]

    async def replay(self, journal: SagaJournal) -> Divergence | None:
        """Where the code would leave a saga's journal; None where it follows it to its end."""
        try:
            definition = self.definition(journal.service, journal.saga.name)
        except ConfigurationError as error:
            return Divergence(text=str(error))
        with connected(_Nobody()):
            service = self._service(journal.service)
            return await replay(definition, service, journal, _unstarted(journal.service))

    def _service(self, name: str) -> Any:
        if name not in self._services:
            spec = self._blueprint.spec(name)
            process = next(each.name for each in self._blueprint.plan.processes if name in each.services)
            source = SettingsSource(self._blueprint, process, self._options)
            injection = Injection(source, self._options, _Nobody().client)

            def give(need: Need) -> Any:
                return _unstarted(name) if need.type is Database else injection.give(spec, need)

            self._services[name] = build(spec, give).service
        return self._services[name]


class _Nobody:
    """Gives clients that reach nobody: in a saga's function a call is a step, which a replay answers."""

    def client(self, contract: Callable[..., ContractT], caller: str | None = None) -> ContractT:
        entries = {name: entry(each, _refuse, caller, None) for name, each in operations(contract).items()}
        return make_client(contract, entries)

    def wait(self, work: Awaitable[Result]) -> Result:  # noqa: ARG002 - as the connector's
        _refuse_anything()


async def _refuse(_: Call) -> NoReturn:
    _refuse_anything()


def _refuse_anything() -> NoReturn:
    raise MisuseError("a replay calls nothing: what a saga's function does outside of its steps is not replayed")


def _unstarted(service: str) -> Database:
    return database_for(TEMPORARY, name=service)
