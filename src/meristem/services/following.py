"""What a caller wrote is followed, so that what it reads from replicas has it: at both ends of a call.

Only systems with read replicas have any of these layers.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Fault, StorageError
from meristem.log_positions import PRIMARIES, Positions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.log_positions import Position


def settling(operation: Operation, service: str, position: Callable[[], Awaitable[Position]]) -> Middleware:
    """Around a method whose database has replicas: the caller learns up to where its data goes by now.

    Not only what this call has committed counts: one that is repeated is told the answer of an earlier one. `position`
    asks the primary, and raises StorageError; then the caller reads from the primary.
    """
    writes = operation.semantics is not Semantics.SAFE

    async def settle(positions: Positions) -> None:
        if not writes and not positions.is_open(service):
            return
        positions.wrote(service)  # until it is known better: the wait may be cancelled
        if operation.stream:  # it may have only begun
            return
        with suppress(StorageError):
            positions.reached(service, await position())

    def around(handler: Handler) -> Handler:
        async def settled(call: Call) -> Any:
            positions = call.context.positions
            if positions is None or positions is PRIMARIES:
                return await handler(call)
            try:
                reply = await handler(call)
            except Exception:
                await settle(positions)
                raise
            except BaseException:
                positions.wrote(service)
                raise
            await settle(positions)
            return reply

        return settled

    return around


def distrusting(handler: Handler) -> Handler:
    """Around what a saga does, or waits for: its steps may have written to any service."""

    async def distrusted(call: Call) -> Any:
        try:
            return await handler(call)
        finally:
            if call.context.positions is not None:
                call.context.positions.distrust()

    return distrusted


def heeding(operation: Operation) -> Middleware:
    """Around the way of a call that may write elsewhere: where no answer comes, nobody knows what was written.

    Nor is it known of a stream, which has no place to tell it in.
    """

    def around(handler: Handler) -> Handler:
        async def heeded(call: Call) -> Any:
            positions = call.context.positions
            try:
                reply = await handler(call)
            except BaseException as error:
                answered = isinstance(error, Fault) or (
                    isinstance(error, CallError) and (error.answered or not error.may_have_happened)
                )
                if positions is not None and (operation.lasts or not answered):
                    positions.distrust()
                raise
            if positions is not None and operation.lasts:
                positions.distrust()
            return reply

        return heeded

    return handler_as_it_is if operation.semantics is Semantics.SAFE else around


def handler_as_it_is(handler: Handler) -> Handler:
    """No layer."""
    return handler


def beginning(handler: Handler) -> Handler:
    """Around what comes in by wire: a caller from outside that sent no positions has written nothing.

    A service that sent none does not follow its caller, so nothing is known.
    """

    async def begun(call: Call) -> Any:
        context = call.context
        if context.positions is None:
            context.positions = Positions() if context.caller is None else PRIMARIES
        return await handler(call)

    return begun
