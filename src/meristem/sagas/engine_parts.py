"""What all sagas of one engine share."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables

import msgspec

from meristem.clock import Clock
from meristem.sagas.facts import Fact
from meristem.sagas.journal import Journal
from meristem.sagas.naps import Naps
from meristem.sagas.policy import SagaPolicy


class EngineParts(msgspec.Struct, frozen=True):
    """The parts of an engine that the work on a saga needs; `variables` are those with which the engine was started."""

    journal: Journal
    clock: Clock
    naps: Naps
    policy: SagaPolicy
    emit: Callable[[Fact], None]
    variables: Variables
