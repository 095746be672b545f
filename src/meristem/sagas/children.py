"""Child sagas: one that another saga of its service waits for, which ends with it, and one that is left to itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from meristem.context import CURRENT
from meristem.errors import CallError, Code, NotServedHere, SagaParked
from meristem.sagas.commands import ENGINE_MARK, SAGA_MARK, CallCommand
from meristem.sagas.failures import ChildFailed

AGAIN: Final = 1.0  # seconds until a parked saga, or one that cannot be reached, is looked at again
_UNSTORED: Final = 0.05  # seconds until a child that is not stored yet is cancelled again


class LastingCommand(CallCommand, kw_only=True):
    """A step that takes as long as another saga does, also while that is parked: only its end says what it did."""

    stopped: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """The saga that waits does so no longer; what becomes of the other one is the step's."""
        self.stopped.set()

    def give_up(self) -> None:
        super().give_up()
        self.stop()


class StartCommand(CallCommand, kw_only=True):
    """The start of a saga that is left to itself; its id is journaled, and the function gets what is `made` of it."""

    made: Callable[[str], Any]

    def answer(self) -> Any:
        return self.made(super().answer())

    def late_reply(self) -> Any:
        return self.made(super().late_reply())


class ResultCommand(LastingCommand, kw_only=True):
    """The wait for the end of a saga that was left to itself: it may be given up, and that saga goes on."""

    wait: Callable[[], Awaitable[Any]]

    async def run(self) -> Any:
        """The result, once there is one."""
        work, stopped = asyncio.ensure_future(self.wait()), asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:
            stopped.cancel()
            work.cancel()
        text = f"nobody waits for the {self.name} any more"
        raise ChildFailed(CallError(Code.CANCELED, text, may_have_happened=False))


class ChildCommand(LastingCommand, kw_only=True):
    """The run of a child, which undoes what it did when it is stopped, and is waited for all the same.

    Under the key of its step it is one saga, however often the step is run again.
    """

    run_saga: Callable[..., Awaitable[Any]]

    async def run(self, *arguments: Any) -> Any:
        """The child's answer, or its error, which is final."""
        if self.stopped.is_set() and not await self._cancel():
            text = f"{self.name} had not begun when the saga that asks for it was cancelled"
            raise ChildFailed(CallError(Code.CANCELED, text, may_have_happened=False))
        while True:
            try:
                return await self._waited(arguments)
            except SagaParked:
                if self.stopped.is_set():
                    await self._cancel()
                await asyncio.sleep(AGAIN)
            except NotServedHere:
                raise
            except CallError as error:
                raise ChildFailed(error) from None

    async def _waited(self, arguments: tuple[Any, ...]) -> Any:
        work, stopped = asyncio.ensure_future(self.run_saga(*arguments)), asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            while not work.done() and not await self._cancel():
                await asyncio.wait({work}, timeout=_UNSTORED)
            return await work
        finally:
            stopped.cancel()
            work.cancel()  # the wait alone: the child goes on by itself

    async def _cancel(self) -> bool:
        """Cancel the child; False where there is none."""
        method: Any = getattr(self.run_saga, "func", self.run_saga)
        engine, definition = getattr(method.__self__, ENGINE_MARK), getattr(method.__func__, SAGA_MARK)
        try:
            await engine.cancel(engine.id_under(definition, CURRENT.get().key))
        except CallError as error:
            return error.code is not Code.NOT_FOUND  # else it has ended, or is undone already
        return True
