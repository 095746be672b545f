"""What differs between running a system for real, while developing it, and in a test."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from meristem.clock import Clock, SystemClock
from meristem.context import Context
from meristem.contracts.call import Middleware
from meristem.contracts.operation import Operation
from meristem.discovery.resolver import Resolver
from meristem.events.facts import Observer
from meristem.security.tokens import new_secret
from meristem.services.service import Progress

T = TypeVar("T")
Outgoing: TypeAlias = Callable[[Operation], Sequence[Middleware]]
"""What is put around each operation where it is called, the first outermost."""


class Silent:
    """Progress that is not shown."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:  # noqa: ARG002
        return items


class Options:
    """How one process of a system is run.

    `overrides` are settings by service, strongest of all; `fakes` stand in for the services that implement a
    contract; `database` replaces the placement's URL and `migrate` brings databases up to date at start. Relative
    paths and hosted apps are found from `directory`; `state` is the system's folder, None in a test.
    `apps` tells the base address of each hosted app and program,
    `resolver` where services of other processes answer, `sign` proves to them who calls; `replica` is this process's
    number and `instance` the name under which it holds leases, by default made of process and number. All processes of
    a system share one `secret`; without one it is new at each start, as in a test.
    `outgoing` wraps each operation where it is called, around its deadline. In `development` a bug is told at once
    where it would be repeated in production. A clock that is moved `by_hand` stands still in between: a saga that
    pauses does not wait for it in memory. `beat` is called while the loop turns, `found` waits until the others find
    this process where they look for it. `observers` are told of each event that is committed.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        progress: Progress | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        fakes: Mapping[type[Any], object] | None = None,
        database: str | None = None,
        migrate: bool = True,
        directory: Path | None = None,
        state: Path | None = None,
        apps: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
        sign: Callable[[Context], str] | None = None,
        secret: bytes | None = None,
        replica: int = 0,
        instance: str | None = None,
        outgoing: Outgoing | None = None,
        development: bool = False,
        by_hand: bool = False,
        beat: Callable[[], None] = lambda: None,
        found: Callable[[], Awaitable[None]] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.clock = clock or SystemClock()
        self.progress = progress or Silent()
        self.overrides = overrides or {}
        self.environment = os.environ if environment is None else environment
        self.fakes = fakes or {}
        self.database = database
        self.migrate = migrate
        self.directory = directory or Path.cwd()
        self.state = state
        self.apps = apps or {}
        self.resolver = resolver
        self.sign = sign
        self.secret = secret or new_secret()
        self.replica = replica
        self.instance = instance
        self.outgoing = outgoing or _nothing_more
        self.development = development
        self.by_hand = by_hand
        self.beat = beat
        self.found = found
        self.observers = observers


def _nothing_more(_: Operation) -> Sequence[Middleware]:
    return ()
