"""How a saga calls: each method under the key of its step, with what the saga's origin carries on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from meristem.context import CURRENT, Context
from meristem.errors import CallError, Code
from meristem.keys import KeyChain
from meristem.sagas.commands import Step
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow


class Invoker:
    """Makes the calls of one saga."""

    def __init__(self, saga: SagaRow) -> None:
        self.origin = origin_of(saga)
        self.context = self.origin.context()
        self._saga_id = saga.id

    async def invoke(
        self,
        step: Step,
        method: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        position: str,
        context: Context,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        """Call once, in the `context` that the step was made in.

        A direct call goes out under the position's key; those that a step makes, under derived keys, and each of them
        waits for `before`.
        """
        key, user = f"{self._saga_id}:{position}", context.user
        asker = None if user is None else user.asker
        chain = None if step.direct else KeyChain(key, asker, before=before)
        token = CURRENT.set(replace(context, key=key, keys=chain, steps=None))
        try:
            return await method(*arguments)
        except asyncio.CancelledError:
            # Of two cancellations only ours ends the step: a callee that cancels itself has failed, as any error.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallError(Code.CANCELED, f"{step.name} was cancelled by its callee", private=True) from None
        finally:
            CURRENT.reset(token)
