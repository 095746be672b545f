"""A CPU worker: a process that builds a service without database and clients, and runs its methods one by one.

Started by `cpu_worker.py`, as `python -m meristem.runtime.cpu_child LINK LIFE`, with the numbers of two descriptors.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from importlib import import_module
from logging.handlers import QueueHandler
from operator import attrgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from meristem.clock import Clock, SystemClock
from meristem.context import Context, using
from meristem.errors import CallError, Fault
from meristem.runtime.cpu_link import DONE, FAILED, LOGGED, TAKEN, WorkerTraceback, packed, receive_now, unpacked
from meristem.runtime.options import Silent
from meristem.services.container import build
from meristem.services.service import Progress, describe
from meristem.standard_streams import unblock

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.runtime.cpu_link import Recipe, Task
    from meristem.services.service import Need


def main() -> None:
    """Work until the process that has started this one has gone."""
    unblock()
    link, life = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    for each in (link.fileno(), life):
        os.set_inheritable(each, False)
    os.register_at_fork(after_in_child=link.close)  # what a method forks says nothing here, nor keeps the link open
    # SIGIO ends the group also while something compiled, as a pattern that backtracks, keeps every thread waiting.
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    # A thread: while a method computes, nothing else would see that nobody waits for it any more.
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    try:
        # First: what the recipe is made of is found there.
        sys.path[:] = unpacked(receive_now(link))
        asyncio.run(_Worker(link).run(unpacked(receive_now(link))))
    except EOFError:
        pass


def _end_with(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)  # and all that it has started


class _Worker:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._sending = threading.Lock()  # a method may log from threads of its own

    async def run(self, recipe: Recipe) -> None:
        logging.basicConfig(level=recipe.level, handlers=[_LogLink(self._send)], force=True)
        try:
            service = await self._built(recipe)
        except BaseException as error:
            self._fail(error)
            raise
        self._send(DONE, None)
        while True:
            data = receive_now(self._link)
            self._send(TAKEN, None)  # so that one which dies before is known to have done nothing
            try:
                task: Task = unpacked(data)
                with using(Context(**task.context)):
                    self._reply(task, await getattr(service, task.method)(*task.arguments, **task.named))
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # a boundary: who waits decides about it
                self._fail(error)

    async def _built(self, recipe: Recipe) -> Any:
        spec = describe(attrgetter(recipe.qualname)(import_module(recipe.module)))
        given: dict[Any, Any] = {Clock: SystemClock(), Progress: Silent(), **recipe.settings}

        def give(need: Need) -> Any:
            return given[need.type]

        built = build(spec, give)
        for each in built.living():
            await each.start()
        await built.service.start()
        return built.service

    def _reply(self, task: Task, reply: Any) -> None:
        try:
            self._send(DONE, reply)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            text = f"{task.method}: what it returns, a {type(reply).__name__}, can't be sent from its worker: {error}"
            raise TypeError(text) from error

    def _send(self, kind: bytes, value: Any) -> None:
        message = packed(value, kind)
        with self._sending:
            self._link.sendall(message)

    def _fail(self, error: BaseException) -> None:
        where = None
        if not isinstance(error, Fault | CallError):  # those are answers
            where = WorkerTraceback("".join(traceback.format_exception(error)))
        if not _can_travel(error):
            error = RuntimeError(f"{type(error).__name__}: {error}")
        self._send(FAILED, (error, where))


def _can_travel(error: BaseException) -> bool:
    # Many an error is packed that can't be made again: the arguments of its class are not those of Exception.
    if not isinstance(error, Exception):
        return False  # SystemExit would end who waits
    try:
        unpacked(pickle.dumps(error))
    except Exception:  # whatever its class raises
        return False
    return True


class _LogLink(QueueHandler):
    """Hands records to the process that has started this one, whose handlers write them."""

    def __init__(self, send: Callable[[bytes, Any], None]) -> None:
        super().__init__(SimpleQueue())  # whatever the class asks for; each record goes out at once
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(LOGGED, record)


if __name__ == "__main__":
    main()
