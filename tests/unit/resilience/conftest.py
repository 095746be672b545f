"""Time that can jump, and calls to play with."""

from collections.abc import Callable

import pytest

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.operation import Declaration, Operation, Retry, Semantics
from tests.suites.operations import an_operation


class Time:
    """A monotonic clock that moves when told; sleeping moves it too."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def make_operation(
    semantics: Semantics = Semantics.SAFE, *, stream: bool = False, retry: Retry | None = None
) -> Operation:
    declaration = Declaration(semantics=semantics, retry=retry or Retry())
    return an_operation(declaration, stream=stream)


@pytest.fixture
def operation() -> Callable[..., Operation]:
    return make_operation


@pytest.fixture
def call() -> Callable[..., Call]:
    def make(operation: Operation | None = None, **context: object) -> Call:
        return Call(operation or make_operation(), None, Context(**context))

    return make
