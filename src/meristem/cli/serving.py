"""What the commands that serve have in common: where a system shows itself, and the loop that it runs on."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from meristem.descriptors import raise_limit
from meristem.lifecycle import end
from meristem.standard_streams import finish
from meristem.system.addresses import label_of_program

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from meristem.operators.server import OperatorServer
    from meristem.system.plan import Plan


class Faces(NamedTuple):
    """Where a system shows itself, as the command was told: `operators` is None where nothing was said of them."""

    host: str
    port: int
    operators: tuple[str, ...] | None
    api_page: bool
    development: bool


def shown(plan: Plan, address: str, operators: OperatorServer, *, api_page: bool) -> Iterator[tuple[str, str]]:
    """The addresses that people are told at a start, each with its name."""
    if api_page and any(each.http for service in plan.services for each in service.operations):
        yield "API page", f"{address}{plan.api}/docs"
    remark = f"  ({operators.remark})" if operators.remark else ""
    if operators.link is not None:
        yield "dashboard", operators.link + remark
    elif operators.address is not None:
        yield "operators", operators.address + remark


def ports_of(plan: Plan, public: int) -> Iterator[int]:
    """The ports that a system is known to need, before it takes them."""
    yield public
    yield from (each.port for each in plan.processes if each.port is not None)
    yield from (int(each.grpc.address("").rpartition(":")[2]) for each in plan.processes if each.grpc is not None)
    yield from (each.port for each in plan.programs if each.port is not None)


def program_labels(plan: Plan) -> list[str]:
    """What stands before the lines of the programs, for each replica."""
    return [label_of_program(each, index) for each in plan.programs for index in range(each.replicas)]


def offer(variables: Mapping[str, str]) -> None:
    """Let hosted apps, which know only the environment, find the other parts; what is set already stays."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def run_on_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop, on asyncio's own loop where there is no uvloop."""
    raise_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_to_the_end(work))


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Run, and leave behind what ignores that it is cancelled: asyncio would wait for it without end."""
    await work
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if await end(others):
        finish()
        os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
