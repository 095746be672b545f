"""Operations by which operators look: answered without being looked on themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.call import ServedOperation
from meristem.services.inbound import taking_request

if TYPE_CHECKING:
    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation


def answering(operation: Operation, who: object) -> ServedOperation:
    """An operation that `who` answers: not counted and not traced, since nobody looks on who looks on."""
    take = taking_request(operation, getattr(who, operation.name))

    async def answer(call: Call) -> Any:
        return await take(call.request)

    return ServedOperation(operation, answer)
