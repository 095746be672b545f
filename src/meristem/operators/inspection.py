"""What each process answers to operators, and what it tells of itself: finished spans, counts, what it uses."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.errors import CallError, Code
from meristem.operators.load_views import ServiceLoad
from meristem.operators.operator_contract import SpanView
from meristem.transports.adapters import client_for

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation
    from meristem.transports.endpoint import Sign

PATIENCE: Final = 2.0  # seconds for an answer
AWAY: Final = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)


class OperationCounts(Message):
    """What an operation did since its process began, on one side of the call; `buckets` count durations."""

    side: str
    service: str
    operation: str
    calls: int
    failed: int
    in_flight: int
    buckets: list[int]


class CallsMade(Message):
    """How many calls one part made of another's operation since its process began, in the same process or elsewhere."""

    caller: str
    service: str
    operation: str
    calls: int


class RouteCounts(Message):
    """What became of requests on a route of the gateway since its process began; `buckets` count durations."""

    route: str
    admitted: int
    refused: int
    statuses: dict[str, int]
    buckets: list[int]


class ProcessDigest(Message):
    """What is new in a process, and its counts of now.

    `life` is another one after a restart. `seen` is what to ask with next; `lost` spans were forgotten before they
    were asked for. `cpu` is processor time in seconds since the process began, `memory` is resident, in bytes.
    `loop_lag` is how late the event loop came to what was due, at worst in the last two seconds, `loads` what each
    service carries. `routes` has a process that is the edge.
    """

    life: str
    seen: int
    lost: int
    spans: list[SpanView]
    operations: list[OperationCounts]
    made: list[CallsMade]
    cpu: float
    memory: int | None
    loop_lag: float = 0.0
    loads: list[ServiceLoad] = []
    routes: list[RouteCounts] = []


class Inspector(Contract, Protocol, package="meristem.operator.v1"):
    """Asked for by what gathers a system's figures, of each process, once a second."""

    @safe(timeout=PATIENCE)
    async def digest(self, life: str, seen: int) -> ProcessDigest:
        """What there is beyond the first `seen` spans of this `life`, and all counts; of another life everything."""
        ...


async def ask(address: str, operation: Operation, request: Any, *, sign: Sign) -> Any:
    """Ask the process at an address of the system's own.

    Raises TimeoutError when it does not answer in time, another OSError when it was not reached, and CallError for what
    it refuses.
    """
    client = client_for(address, sign=sign)
    try:
        context = Context(deadline=monotonic() + operation.timeout)
        async with asyncio.timeout(operation.timeout):
            return await client.call(Call(operation, request, context))
    except CallError as error:
        if error.code in AWAY:
            raise (TimeoutError if error.may_have_happened else ConnectionError)(str(error)) from None
        raise
    finally:
        await client.stop()
