"""Every service of a system in this process, yet apart: calls between them pass the codec and real sockets."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from meristem.contracts.call import connected
from meristem.discovery.static import StaticResolver
from meristem.lifecycle import Stack
from meristem.resilience.policies import Policies
from meristem.runtime.assembly import Assembly
from meristem.runtime.grpc_serving import GrpcServing, grpc_server
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Serving
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import REST
from meristem.testing.app import RunningSystem
from meristem.testing.fakes import contracts_of
from meristem.testing.history import Recording
from meristem.testing.repetitions import Repetitions, noted, repeating
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.system.placement import Placement
    from meristem.system.system import System

CALLER: Final = "test"
"""The process of the test itself, in which no service lives."""


@asynccontextmanager
async def by_wire(system: System, options: Mapping[str, Any], placement: Placement) -> AsyncIterator[RunningSystem]:
    """Run the system; the assembly given is one without services, as a test in another process would have."""
    services = [each.name for each in Blueprint(system, assumed=contracts_of(options["fakes"])).plan.services]
    apart = replace(placement, processes={CALLER: (REST,), **{name: (name,) for name in services}})
    blueprint = Blueprint(system, apart, assumed=contracts_of(options["fakes"]))
    tokens = Tokens(new_secret())
    async with AsyncExitStack() as ending:
        folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="meristem-"))
        addresses = {name: f"{_scheme(placement, name)}:{Path(folder) / name}.sock" for name in services}
        resolver = StaticResolver({name: [each] for name, each in addresses.items()})
        repetitions, recording = Repetitions(), Recording()

        def always(operation: Operation) -> Sequence[Middleware]:
            return [*recording.outgoing(operation), *repeating(repetitions, operation)]

        of_test = options["outgoing"]
        known = {**options, "resolver": resolver, "sign": tokens.prove, "observers": [recording.on_fact]}
        around = Options(**{**known, "outgoing": always})
        stack = await ending.enter_async_context(Stack())
        assemblies = [Assembly(blueprint, name, around) for name in services]
        for assembly in assemblies:  # those who are called before those who call
            await stack.start(assembly)
            await assembly.activate()
            # Connections take over these variables, so that code behind them finds the clients of this assembly.
            with connected(assembly):
                await stack.start(_serving(assembly, tokens, addresses[assembly.process.name]))
        if of_test is not None:
            around = Options(**{**known, "outgoing": lambda operation: (*of_test(operation), *always(operation))})
        outside = RunningSystem(blueprint, CALLER, around)
        outside.beside, outside.recording = assemblies, recording
        await stack.start(outside)
        await outside.activate()
        with noted(repetitions):
            yield outside
        await stack.drain()


def _scheme(placement: Placement, service: str) -> str:
    return "grpc+unix" if placement.policies.get(service, Policies()).transport == "grpc" else "unix"


def _serving(assembly: Assembly, tokens: Tokens, address: str) -> Serving | GrpcServing:
    listen = [Listen(address, public=False)]
    if address.startswith("grpc"):
        return GrpcServing(grpc_server(assembly, assembly.routes(), tokens), listen)
    return Serving(HttpServer(assembly.routes(), limits=assembly.limits, verify=tokens.verify), listen)
