"""The services of a process as those whose sagas it tells operators of."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meristem.errors import CallError, Code, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from meristem.runtime.instance import ServiceInstance
    from meristem.runtime.options import Options
    from meristem.runtime.rehearsal import Rehearsal
    from meristem.sagas.saga import Definition
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint


class LivingServices:
    """Services that run here, whose databases are open; `options` are what their settings come by."""

    def __init__(self, instances: Mapping[str, ServiceInstance], blueprint: Blueprint, options: Options) -> None:
        self._instances = instances
        self._blueprint = blueprint
        self._options = options

    def services(self) -> Mapping[str, Sequence[str]]:
        known = {each.name: each.sagas for each in self._blueprint.plan.services}
        return {name: known[name] for name, each in self._instances.items() if each.storage is not None}

    def definitions(self, service: str) -> Mapping[str, Definition]:
        from meristem.sagas.saga import sagas_of  # noqa: PLC0415 - only a service that keeps something is asked

        return sagas_of(self._instances[service].spec.implementation)

    @asynccontextmanager
    async def opened(self, service: str) -> AsyncIterator[Database]:
        database = self._instances[service].database
        assert database is not None  # it is none of `services`, else
        try:
            yield database
        except StorageError as error:
            text = f"the database of {service} can't be asked: {error}"
            raise CallError(Code.UNAVAILABLE, text, may_have_happened=False) from error

    def rehearsal(self) -> Rehearsal:
        from meristem.runtime.rehearsal import Rehearsal  # noqa: PLC0415 - as above

        options = self._options
        return Rehearsal(self._blueprint, overrides=options.overrides, environment=options.environment)
