"""The life of a hosted ASGI application (ASGI lifespan protocol 2.0)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import OperationError
from meristem.lifecycle import end

if TYPE_CHECKING:
    from meristem.hosting.asgi.protocol import ASGIApp

logger = logging.getLogger(__name__)
GRACE: Final = 1.0  # seconds for an application to return after it has said that it stopped
STARTING: Final = 50.0  # seconds for one to start: less than a supervisor waits, who cannot tell what hangs
PATIENCE: Final = 10.0  # seconds for an application to end its life; then the process ends without it


class Lifespan:
    """An application with its life; one that does not speak the protocol simply has no life of its own.

    Called, it is the application: each request finds in its scope a copy of the state that the life began with.
    """

    def __init__(self, name: str, app: ASGIApp, *, starting: float = STARTING, patience: float = PATIENCE) -> None:
        self._name = name
        self._starting = starting
        self._patience = patience
        self._app = app
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._began = False
        self._crash: Exception | None = None
        self.state: dict[str, Any] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.state:
            scope["state"] = {**scope.get("state", {}), **self.state}
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Raises OperationError when the application says that it cannot start, or says nothing."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"lifespan of {self._name}")
        try:
            async with asyncio.timeout(self._starting):
                answer = await self._tell("lifespan.startup", self._task)
        except TimeoutError:
            task, self._task = self._task, None
            task.cancel()
            await end([task])
            raise OperationError(
                f"app {self._name!r} did not start within {self._starting:g} s: it does not answer lifespan.startup"
            ) from None
        if self._crash is not None:
            raise self._failed(f"{type(self._crash).__name__}: {self._crash}") from self._crash
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise self._failed(answer.get("message") or "see its log")

    def _failed(self, message: str) -> OperationError:
        """The error of one line; some applications send all of a traceback."""
        *above, last = message.strip().splitlines()
        if above:
            logger.error("app %r could not start:\n%s", self._name, message)
        failed = OperationError(f"app {self._name!r} could not start: {last}; mend it and run again")
        failed.lasting = True
        return failed

    async def drain(self) -> None:
        """Requests in flight are the server's to wait for."""

    async def stop(self) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        try:
            async with asyncio.timeout(self._patience):
                await self._end(task)
        except TimeoutError:
            logger.error("app %r did not stop within %g s; it is cancelled", self._name, self._patience)  # noqa: TRY400
            task.cancel()

    async def _end(self, task: asyncio.Task[None]) -> None:
        answer = await self._tell("lifespan.shutdown", task)
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            logger.error("app %r did not stop cleanly: %s", self._name, answer.get("message") or "see its log")
        _, late = await asyncio.wait({task}, timeout=GRACE)
        if late:  # it has said all that the protocol asks of it; servers let such an application be
            task.cancel()
            await end(late)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._heard.put)
        except Exception as error:
            if self._began:  # it took the event, so it has a lifespan, and that failed
                logger.exception("the lifespan of app %r failed", self._name)
                self._crash = error
            else:  # the protocol: an application that raises before does without one
                logger.debug("app %r has no lifespan", self._name, exc_info=True)

    async def _receive(self) -> dict[str, Any]:
        event = await self._told.get()
        self._began = True
        return event

    async def _tell(self, event: str, task: asyncio.Task[None]) -> dict[str, Any] | None:
        """The application's answer, None when it listens no more."""
        await self._told.put({"type": event})
        answer = asyncio.ensure_future(self._heard.get())
        try:
            await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
