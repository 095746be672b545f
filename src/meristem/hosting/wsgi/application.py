"""A WSGI application as an ASGI one: the event loop does the waiting, a thread does the work."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from meristem.asgi import until_disconnected
from meristem.hosting.asgi.refusal import refuse
from meristem.hosting.wsgi.channel import Channel, ClientDisconnectedError
from meristem.hosting.wsgi.environ import RepeatedHeaderError, environ_of, set_input
from meristem.hosting.wsgi.files import FileWrapper
from meristem.hosting.wsgi.response import WSGIResponse
from meristem.hosting.wsgi.upload import TooLargeError, UploadAbortedError, receive_body
from meristem.hosting.wsgi.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from meristem.hosting.wsgi.response import WSGIApp
    from meristem.resilience.limits import Limits

logger = logging.getLogger(__name__)
PATIENCE: Final = 5.0  # seconds for threads to return at the end; less than a lifespan may take
SILENCE: Final = 10.0  # seconds between two warnings that all threads are busy
CLOSE: Final = (b"connection", b"close")


class WSGIHost:
    """Runs a WSGI app in threads of its own.

    A request is taken in, waits for a thread, and is answered through a window; only the app's own work keeps a
    thread busy. A client that leaves is heard of at once: a request that waits is dropped, an answer that is under
    way ends at the next part that the app has to send, and what the app returned is closed.
    """

    def __init__(self, name: str, app: WSGIApp, limits: Limits) -> None:
        self._name = name
        self._app = app
        self._limits = limits
        self._threads = WorkerThreads(name, most=limits.app_threads, waiting=limits.app_waiting)
        self._warned = -SILENCE

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:  # a WebSocket, which WSGI does not know: closed before it is accepted, it is answered with 403
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit = self._limits.upload_bytes
        try:
            environ = environ_of(scope, threads=self._limits.app_threads)
            body, size = await receive_body(receive, limit, declared=int(environ.get("CONTENT_LENGTH") or 0))
        except RepeatedHeaderError as error:
            await refuse(send, 400, str(error), CLOSE)
        except TooLargeError:
            await refuse(send, 413, f"a request may have {limit} bytes", CLOSE)
        except UploadAbortedError:
            return
        else:
            set_input(environ, body, size)
            await self._run(WSGIRequest(self._app, environ, body, self._name), receive, send)

    async def _run(self, request: WSGIRequest, receive: Any, send: Any) -> None:
        if not self._threads.submit(request):
            request.close()
            self._warn()
            await refuse(send, 503, "too many requests wait for this application", (b"retry-after", b"1"))
            return
        watching = asyncio.get_running_loop().create_task(_watch(receive, request.channel))
        try:
            await request.channel.forward(send)
        finally:
            watching.cancel()
            if self._threads.withdraw(request):
                request.close()

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._threads.stop(PATIENCE)
        await send({"type": "lifespan.shutdown.complete"})

    def _warn(self) -> None:
        if (now := time.monotonic()) - self._warned >= SILENCE:
            self._warned = now
            logger.warning(
                "app %r: all %d threads are busy and %d requests wait, so others are refused; "
                "the longest at work is %s. Raise `app_threads` of [server], or find out what the app waits for",
                self._name, self._limits.app_threads, self._limits.app_waiting, self._threads.longest(),
            )  # fmt: skip


class WSGIRequest:
    """One request in a thread, within the context of the task that received it."""

    def __init__(self, app: WSGIApp, environ: dict[str, Any], body: BinaryIO, name: str) -> None:
        self._app = app
        self._environ = environ
        self._body = body
        self._context = contextvars.copy_context()
        self.label = f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']}{environ['PATH_INFO']}"
        self._where = f"app {name!r}, {self.label}"
        self.channel = Channel(asyncio.get_running_loop())

    def run(self) -> None:
        """Answer, in a thread; what the app raises is the event loop's to hear."""
        try:
            if not self.channel.gone:
                self._context.run(self._respond)
        except ClientDisconnectedError:
            logger.debug("%s: the client left", self._where)
        except BaseException as error:  # also SystemExit, which must end neither thread nor process
            self._fail(error)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the body."""
        self._body.close()

    def _respond(self) -> None:
        response = WSGIResponse(self.channel, self._environ["REQUEST_METHOD"], self._where)
        answer = self._app(self._environ, response.start_response)
        taken = False
        try:
            taken = isinstance(answer, FileWrapper) and response.send_file(answer)
            if not taken:
                response.send_all(answer)
        finally:
            if not taken and (close := getattr(answer, "close", None)) is not None:
                close()

    def _fail(self, error: BaseException) -> None:
        if self.channel.gone or self.channel.complete:
            logger.error("%s failed after its answer", self._where, exc_info=error)
            return
        if not isinstance(error, Exception):
            wrapped = RuntimeError(f"{self._where} raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        self.channel.fail(error)


async def _watch(receive: Any, channel: Channel) -> None:
    await until_disconnected(receive)
    channel.abandon()
