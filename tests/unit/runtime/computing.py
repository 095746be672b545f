"""A service that computes, in a module from which its workers import it."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import sys
import time
from typing import Annotated, Protocol

from msgspec import Meta

from meristem import CallError, Code, Contract, Fault, Secret, Service, Settings, System, current, idempotent, safe

logger = logging.getLogger("computing")


class TooHard(Fault):
    """Nobody can compute this."""

    number: int


class ScoringSettings(Settings):
    factor: int = 2
    licence: Secret = Secret("none")


class Scoring(Contract, Protocol, package="scoring.v1"):
    @safe(cpu=True, timeout=30.0)
    async def score(self, number: int) -> int: ...

    @safe(cpu=True, timeout=0.5)
    async def never(self) -> int: ...

    @safe(cpu=True, raises=[TooHard])
    async def fail(self, how: Annotated[str, Meta(max_length=20)]) -> int: ...

    @idempotent(cpu=True)
    async def about(self) -> list[str]: ...

    @safe(cpu=True, timeout=30.0)
    async def busy(self, seconds: float) -> int: ...


class ScoringService(Scoring, Service):
    made = 0

    def __init__(self, settings: ScoringSettings) -> None:
        type(self).made += 1
        self.factor = settings.factor
        self.licence = settings.licence

    async def start(self) -> None:
        logger.info("a worker starts")

    async def score(self, number: int) -> int:
        return number * self.factor

    async def never(self) -> int:
        while True:
            """As a computation that holds the interpreter."""

    async def fail(self, how: str) -> int:
        if how == "fault":
            raise TooHard(number=7)
        if how == "refuse":
            raise CallError(Code.OUT_OF_RANGE, "not this one")
        if how == "die":
            ctypes.string_at(0)
        if how == "odd":
            raise _OddError(how, object())
        return await self._fail_oddly(how)

    async def _fail_oddly(self, how: str) -> int:
        if how == "two arguments":
            raise _OfTwoError("first", "second")
        if how == "secret":
            return len(self.licence.reveal())
        if how == "cancelled":
            raise asyncio.CancelledError
        if how == "exit":
            sys.exit(3)
        if how == "unsendable":
            return lambda: 1  # type: ignore[return-value]
        if how == "log":
            logger.warning("odd", extra={"thing": _OfTwoError("first", "second")})
            return 4
        if how == "backtrack":
            re.match("(a+)+$", "a" * 60 + "b")
        if how == "fork" and not os.fork():
            time.sleep(600)  # noqa: ASYNC251 - as what a library leaves behind
        if how == "fork":
            ctypes.string_at(0)
        raise ValueError("a bug in the model")

    async def about(self) -> list[str]:
        user = current().user
        print("printed by a method")
        logger.warning("asked by %s", user)
        return [str(os.getpid()), "" if user is None else user.subject, current().trace.trace_id]

    async def busy(self, seconds: float) -> int:
        time.sleep(seconds)  # noqa: ASYNC251 - as a computation
        return os.getpid()


class _OfTwoError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class _OddError(Exception):
    def __init__(self, how: str, thing: object) -> None:
        super().__init__(how)
        self.thing = thing

    def __reduce__(self):
        raise TypeError("can't be pickled")


system = System("computing", services=[ScoringService])
