"""How a saga calls: each method under the key of its step, with what the saga's origin carries on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from meristem.context import CURRENT
from meristem.errors import CallError, Code
from meristem.keys import KeyChain
from meristem.sagas.commands import Step
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow


class Invoker:
    """Makes the calls of one saga."""

    def __init__(self, saga: SagaRow) -> None:
        self.origin = origin_of(saga)
        self._saga_id = saga.id

    async def invoke(
        self,
        step: Step,
        method: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        position: str,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        """Call once. A direct call goes out under the position's key; those that a step makes, under derived keys.

        Each of the latter waits for `before`.
        """
        origin, key = self.origin, f"{self._saga_id}:{position}"
        subject = None if origin.user is None else origin.user.subject
        chain = None if step.direct else KeyChain(key, subject, before=before)
        token = CURRENT.set(replace(CURRENT.get(), key=key, keys=chain))  # whose rest is the saga's own origin
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
