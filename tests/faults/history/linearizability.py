"""Whether what concurrent clients saw could have happened one operation after the other: linearizability.

Each operation takes effect at one instant between its call and its answer; one without an answer does at any time after
its call, or never (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", 1990). The
search is that of Wing and Gong, and remembers which sets of operations it has tried in which state, as Lowe's does.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Any, NamedTuple, TypeAlias


class Operation(NamedTuple):
    """What a client asked, when, and what it was told; `ended` is infinite where it was told nothing."""

    name: str
    argument: Any
    began: float
    ended: float = inf
    answer: Any = None


Step: TypeAlias = Callable[[Hashable, Operation], tuple[Hashable, Any]]
"""The model: the next state, and the answer, of an operation in a state."""


def is_linearizable(history: Sequence[Operation], step: Step, state: Hashable) -> bool:
    """Whether there is an order in which the model gives every client the answer that it got."""
    operations = sorted(history, key=lambda each: each.began)
    answered = sum(1 << at for at, each in enumerate(operations) if each.ended != inf)
    tried: set[tuple[int, Hashable]] = set()
    waiting: list[tuple[int, Hashable]] = [(0, state)]
    while waiting:
        done, state = waiting.pop()
        if done & answered == answered:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        left = [at for at in range(len(operations)) if not done >> at & 1]
        # Nothing that began after another one's answer can have been before it.
        first = min(operations[at].ended for at in left)
        for at in left:
            operation = operations[at]
            if operation.began > first:
                break
            after, answer = step(state, operation)
            if operation.ended == inf or answer == operation.answer:
                waiting.append((done | 1 << at, after))
    return False
