"""What each process tells of itself to whoever gathers it for operators: finished spans, counts, what it uses."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.errors import CallError
from meristem.operators.operator_contract import SpanView
from meristem.transports.adapters import client_for

if TYPE_CHECKING:
    from meristem.transports.endpoint import Sign

PATIENCE: Final = 2.0  # seconds for an answer


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


class ProcessDigest(Message):
    """What is new in a process, and its counts of now.

    `life` is another one after a restart. `seen` is what to ask with next; `lost` spans were forgotten before they
    were asked for. `cpu` is processor time in seconds since the process began, `memory` is resident, in bytes.
    """

    life: str
    seen: int
    lost: int
    spans: list[SpanView]
    operations: list[OperationCounts]
    made: list[CallsMade]
    cpu: float
    memory: int | None


class Inspector(Contract, Protocol, package="meristem.operator.v1"):
    """Asked for by what gathers a system's figures, of each process, once a second."""

    @safe(timeout=PATIENCE)
    async def digest(self, life: str, seen: int) -> ProcessDigest:
        """What there is beyond the first `seen` spans of this `life`, and all counts; of another life everything."""
        ...


async def digest_of(address: str, life: str, seen: int, *, sign: Sign) -> ProcessDigest:
    """Ask the process at an address of the system's own; raises OSError when it does not answer in time."""
    operation = operations(Inspector)["digest"]
    client = client_for(address, sign=sign)
    try:
        context = Context(deadline=monotonic() + PATIENCE)
        async with asyncio.timeout(PATIENCE):
            found: ProcessDigest = await client.call(Call(operation, operation.request(life=life, seen=seen), context))
    except CallError as error:
        raise ConnectionError(str(error)) from None
    finally:
        await client.stop()
    return found
