"""Clients of contracts in one process: to services beside them, to fakes, and to services elsewhere."""

from __future__ import annotations

import sys
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from meristem.contracts.call import Handler, Middleware, compose
from meristem.contracts.contract import operations
from meristem.errors import CallError, Code, WiringError
from meristem.resilience.deadline import deadline_middleware
from meristem.resilience.timers import Deadlines
from meristem.services.client import DOOR, Door, make_client
from meristem.services.following import heeding
from meristem.services.inbound import Nearby, OperationEndpoint
from meristem.services.outbound import entry, receiving
from meristem.transports.local import isolation_of, local_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.operation import Operation
    from meristem.runtime.dependency import Dependency
    from meristem.runtime.options import Options
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.system.blueprint import Blueprint

ContractT = TypeVar("ContractT")


class Clients:
    """Makes one client for each contract and caller.

    `endpoints` are the operations answered here by path, `dependencies` the services that live elsewhere by name;
    both may grow until a client of theirs is asked for.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        options: Options,
        deadlines: Deadlines,
        endpoints: Mapping[str, OperationEndpoint],
        dependencies: Mapping[str, Dependency],
        telemetry: ProcessTelemetry,
    ) -> None:
        self._blueprint = blueprint
        self._options = options
        self.deadlines = deadlines
        self._endpoints = endpoints
        self._dependencies = dependencies
        self._telemetry = telemetry
        self._made: dict[tuple[Any, str | None, str | None], Any] = {}
        self._variables = copy_context()
        self._follows = blueprint.has_replicas

    def client(self, contract: Callable[..., ContractT], caller: str | None, app: str | None = None) -> ContractT:
        """A client of `contract`; raises WiringError when no service of the system implements it.

        The `caller` is a service, which the callee is told. An `app` is no caller to it, for it acts for its visitors:
        its calls are counted and recorded by its name, though.
        """
        found = self._made.get((contract, caller, app))
        if found is None:
            known: Any = contract
            by = caller or app
            ways = {name: self._way(known, each, by) for name, each in self._blueprint.operations(known).items()}
            owner = self._blueprint.owner_of(known)
            callee = owner or self._blueprint.external_of(known)
            found = self._made[contract, caller, app] = self.over(contract, ways.__getitem__, caller, callee, app)
            if owner is not None and known not in self._options.fakes:
                kept_as = self._blueprint.plan.service(owner).kept_as  # as processes of an earlier release know it, too
                door = Door(kept_as, partial(self.sagas, owner, caller), self._blueprint.operations(known))
                setattr(found, DOOR, door)
        return found

    def sagas(self, service: str, caller: str | None) -> Any:
        """A client by which the sagas of a service are started without waiting, and steered."""
        found = self._made.get((service, caller, None))
        if found is None:
            from meristem.sagas.handle import Sagas  # noqa: PLC0415 - few programs start sagas so

            known: Any = Sagas
            if service not in self._dependencies and any(
                each.path not in self._endpoints for each in operations(known).values()
            ):
                text = f"{service} has no sagas, so nothing of it is started without waiting: call it"
                raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)
            ways = {name: self._to(service, each, caller) for name, each in operations(known).items()}
            found = self._made[service, caller, None] = self.over(known, ways.__getitem__, caller)
        return found

    def over(
        self,
        contract: Callable[..., ContractT],
        way: Callable[[str], Handler],
        caller: str | None,
        callee: str | None = None,
        app: str | None = None,
    ) -> ContractT:
        """A client of `contract` whose operation `name` goes by `way(name)`, which minds its deadline.

        Calls of a `callee` are counted by who makes them; others are the framework's own.
        """
        known: Any = contract
        entries: dict[str, Any] = {}
        for name, operation in self._blueprint.operations(known).items():
            around = (*self._options.outgoing(operation), *self._outgoing(caller))
            handler = compose(way(name), around)
            by = caller or app or ""
            made = None if callee is None else self._telemetry.registry.calls(by, callee, operation.label)
            entries[name] = entry(operation, handler, caller, _transaction_check(), made=made, follows=self._follows)
        return make_client(contract, entries)

    def _outgoing(self, caller: str | None) -> tuple[Middleware, ...]:
        """What the system and the calling service put around each call that is made."""
        spec = None if caller is None else self._blueprint.specs.get(caller)
        own = () if spec is None else spec.implementation.outgoing
        return (*self._blueprint.system.outgoing, *own)

    def limited(self, operation: Operation, handler: Handler) -> Handler:
        """The handler within the operation's deadline."""
        return deadline_middleware(self.deadlines, operation)(handler)

    def _way(self, contract: Any, operation: Operation, caller: str | None) -> Handler:
        fake = self._options.fakes.get(contract)
        if fake is not None:
            if self._blueprint.external_of(contract) is not None:
                operation = operation.under(authenticated=False)  # there the token signs in, whoever calls here
            observed = self._telemetry.serving(type(fake).__name__, operation)
            # it may first be called for in the midst of another call
            make = partial(OperationEndpoint, system=self._blueprint.system.name)
            method = getattr(fake, operation.name, None) or _unfaked(operation, fake)
            return self._nearby(self._variables.copy().run(make, operation, method, observed))
        owner = self._blueprint.owner_of(contract)
        if (outside := self._blueprint.external_of(contract)) is not None:
            if outside not in self._dependencies:
                text = f"no service of this process asks for {contract.__name__}: ask for it in a constructor"
                raise WiringError(f"{text}, then its address and token are known here")
            owner = outside
        if owner is None:
            raise WiringError(f"no service of {self._blueprint.system.name!r} implements {contract.__name__}")
        return self._to(owner, operation, caller)

    def _to(self, owner: str, operation: Operation, caller: str | None) -> Handler:
        # A deadline is watched on the side that can give up: around the way there, or within the handler itself nearby.
        if owner in self._dependencies:
            there = self._dependencies[owner].way(operation, caller)
            watched = deadline_middleware(self.deadlines, operation, prompt=True, private=True)(there)
            if self._follows:
                watched = heeding(operation)(watched)
            return receiving(operation)(watched) if operation.lasts else watched
        return self._nearby(self._endpoints[operation.path])

    def _nearby(self, endpoint: OperationEndpoint) -> Handler:
        operation = endpoint.operation
        if operation.takes_stream:  # the wait for an item is the callee's, and so stands behind what brings it
            return receiving(operation)(local_stream(operation, self.limited(operation, endpoint.handler)))
        if operation.stream:
            return receiving(operation)(self.limited(operation, local_stream(operation, endpoint.handler)))
        return endpoint.nearby(Nearby(self.deadlines, isolation_of(operation)))


def _unfaked(operation: Operation, fake: object) -> Callable[..., Any]:
    """What stands for a method that a fake does not have."""

    def refuse(*_: object, **__: object) -> Any:
        name = type(fake).__name__
        text = f"{name} fakes {operation.label.partition('.')[0]} without {operation.name}(): write it in {name}"
        raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)

    return refuse


def _transaction_check() -> Callable[[], bool] | None:
    """Whether a database transaction is open; a process that never imported storage has none."""
    storage = sys.modules.get("meristem.storage.scope")
    return None if storage is None else storage.transaction_is_open
