"""Calls that a test repeats on purpose, told when it fails: which they were, and what to do about the likeliest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.operation import Semantics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

OURS: Final = "meristem."  # the packages of the framework's own contracts
SHOWN: Final = 60  # characters of an answer
REMEDY: Final = {
    Semantics.SAFE: "let it change nothing and answer from what is stored, declare it @once, which keeps the first "
    "answer, or declare it @operation, and it is not repeated",
    Semantics.IDEMPOTENT: "make it idempotent, so that the second call finds what the first did, declare it @once, "
    "which keeps the first answer, or undeclare it (@operation), and it is not repeated",
    Semantics.ONCE: "its answer is kept with what it commits: let it have no effect beside its unit of work and the "
    "calls that it makes",
}


class Repeated:
    """How often calls of one operation were repeated; `differing` are the last two answers that were not the same."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.count = 0
        self.differing: tuple[Any, Any] | None = None


class Repetitions:
    """What was repeated, by operation, the one that was repeated last at the end."""

    def __init__(self) -> None:
        self._found: dict[str, Repeated] = {}

    def add(self, operation: Operation, first: Any, second: Any) -> None:
        """A call was answered twice."""
        # At the end, also where it has been before: a dict keeps the order of what was put in.
        found = self._found.get(operation.label) or Repeated(operation)
        self._found.pop(operation.label, found)
        self._found[operation.label] = found
        found.count += 1
        if first != second:
            found.differing = first, second

    def told(self) -> str:
        """What was repeated, and what to do about it; empty where nothing was."""
        if not self._found:
            return ""
        last, likeliest = next(reversed(self._found)), self._likeliest()
        lines = "\n".join(self._line(each, is_last=label == last) for label, each in self._found.items())
        label, remedy = likeliest.operation.label, REMEDY[likeliest.operation.semantics]
        return (
            f'where="wire" repeats each call that its contract allows to be repeated:\n{lines}\n'
            f"Where the test passes in one process, one of them can't be repeated, most likely {label}: {remedy}."
        )

    def _line(self, each: Repeated, *, is_last: bool) -> str:
        times = f"{each.count} calls" if each.count > 1 else "1 call"
        text = f"  {each.operation.label} (@{each.operation.semantics.value}) was sent twice on purpose: {times}"
        if is_last:
            text += ", the last before the failure"
        if each.differing is not None:
            first, second = map(_short, each.differing)
            text += f"; one was answered by {first}, and then by {second}"
        return text

    def _likeliest(self) -> Repeated:
        """The last whose second answer was another, else the last that has an effect, else the last."""
        latest = list(reversed(self._found.values()))
        differing = [each for each in latest if each.differing is not None]
        effective = [each for each in latest if each.operation.semantics is Semantics.IDEMPOTENT]
        return [*differing, *effective, *latest][0]


def _short(answer: Any) -> str:
    text = repr(answer)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


_WATCHING: Final[list[Repetitions]] = []


@contextmanager
def watched() -> Iterator[Repetitions]:
    """What all systems of this process repeat meanwhile: a runner of tests tells it of the test that failed."""
    found = Repetitions()
    _WATCHING.append(found)
    try:
        yield found
    finally:
        _WATCHING.remove(found)


@contextmanager
def noted(found: Repetitions) -> Iterator[None]:
    """An error that leaves the block says what was repeated, unless a runner of tests does."""
    try:
        yield
    except Exception as error:
        if not _WATCHING and (text := found.told()):
            error.add_note(text)
        raise


def repeating(found: Repetitions, operation: Operation) -> Sequence[Middleware]:
    """Send a call that may be repeated twice, and give the second answer."""

    def twice(handler: Handler) -> Handler:
        async def call_twice(call: Call) -> Any:
            first = await handler(call)
            try:
                second = await handler(call)
            except Exception as error:
                _add(found, operation, first, error)
                raise
            _add(found, operation, first, second)
            return second

        return call_twice

    return [twice] if operation.semantics.repeatable and not operation.lasts else []


def _add(found: Repetitions, operation: Operation, first: Any, second: Any) -> None:
    if operation.contract.startswith(OURS):  # it is not the user's to mend
        return
    for each in (found, *_WATCHING):
        each.add(operation, first, second)
