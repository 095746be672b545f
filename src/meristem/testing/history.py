"""What a system did while a test ran it: the calls that were sent and the events that were published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, TypeVarTuple

from meristem.contracts.contract import operations
from meristem.contracts.message import Event
from meristem.errors import MisuseError
from meristem.events.facts import Published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.events.facts import Fact

EventT = TypeVar("EventT", bound=Event)
ReplyT = TypeVar("ReplyT")
Arguments = TypeVarTuple("Arguments")
AnyCall: TypeAlias = "SentCall[Any, *tuple[Any, ...]]"
MOST: Final = 100_000  # calls, and events, of one system


class SentCall(Generic[ReplyT, *Arguments]):
    """A call of an operation: by which service it was made, with which arguments, and how it was answered.

    An argument that is a stream is None. `caller` is None for a call that the test made, or a program. `error` is what
    it was answered by in place of a reply; that of a call which is not answered yet is None.
    """

    __slots__ = ("_replies", "arguments", "caller", "error", "operation")

    def __init__(self, operation: str, caller: str | None, arguments: tuple[*Arguments]) -> None:
        self.operation = operation
        self.caller = caller
        self.arguments = arguments
        self.error: BaseException | None = None
        self._replies: tuple[ReplyT, ...] = ()

    @property
    def reply(self) -> ReplyT:
        """What was answered, None for a stream; raises MisuseError for a call that has no reply."""
        if not self._replies:
            why = "it is not answered yet" if self.error is None else f"`error` is {self.error!r}"
            raise MisuseError(f"{self.operation} has no reply: {why}")
        return self._replies[0]

    def answered(self, reply: Any) -> None:
        """Keep the reply."""
        self._replies = (reply,)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.arguments))
        outcome = repr(self.error) if self.error is not None else ", ".join(map(repr, self._replies)) or "…"
        return f"<{self.caller or 'test'}: {self.operation}({shown}) → {outcome}>"


class PublishedEvent(Generic[EventT]):
    """An event that was committed, and the service that published it."""

    __slots__ = ("event", "publisher")

    def __init__(self, event: EventT, publisher: str) -> None:
        self.event = event
        self.publisher = publisher

    def __repr__(self) -> str:
        return f"<{self.publisher}: {self.event!r}>"


class Recording:
    """Records what the parts of a system do; `under_way` are the calls that are not answered yet."""

    def __init__(self) -> None:
        self.under_way: set[AnyCall] = set()
        self.revision = 0  # changes with whatever is recorded
        self._calls: list[tuple[str, AnyCall]] = []
        self._events: list[PublishedEvent[Any]] = []

    def outgoing(self, operation: Operation) -> Sequence[Middleware]:
        """Records each call of an operation where it is made."""

        def around(handler: Handler) -> Handler:
            async def recorded(call: Call) -> Any:
                made = self._begin(operation, call)
                self.under_way.add(made)
                try:
                    reply = await handler(call)
                except BaseException as error:
                    made.error = error
                    raise
                finally:
                    self.under_way.discard(made)
                    self.revision += 1
                made.answered(None if operation.stream else reply)
                return reply

            return recorded

        return [around]

    def on_fact(self, fact: Fact) -> None:
        """Records the events that are committed."""
        self.revision += 1
        if isinstance(fact, Published) and len(self._events) <= MOST:
            self._events.append(PublishedEvent(fact.event, fact.source.rpartition("/")[2]))

    def sent(self, paths: Iterable[str]) -> list[AnyCall]:
        """The calls of these operations, in the order in which they were made."""
        wanted = set(paths)
        return [made for path, made in _all(self._calls) if path in wanted]

    def published(self, event_class: type[Event]) -> list[PublishedEvent[Any]]:
        """The events of a class, in the order of their commits."""
        return [each for each in _all(self._events) if isinstance(each.event, event_class)]

    def _begin(self, operation: Operation, call: Call) -> AnyCall:
        self.revision += 1
        request = call.request
        arguments: tuple[Any, ...] = (request,)
        if operation.takes_stream:
            arguments = (None,)  # its items are for the callee alone: who looked at one would have taken it
        elif operation.spread:
            arguments = tuple(getattr(request, each.name) for each in operation.parameters)
        made: AnyCall = SentCall(operation.label, call.context.caller, arguments)
        if len(self._calls) <= MOST:
            self._calls.append((operation.path, made))
        return made


T = TypeVar("T")


def _all(recorded: list[T]) -> list[T]:
    """What was recorded, if that is all; a part would be taken for the whole."""
    if len(recorded) > MOST:
        raise MisuseError(
            f"more than {MOST:,} were recorded in this system, and the rest was not kept: use a system a test"
        )
    return recorded


def paths_of(method: Callable[..., Any], contracts: Iterable[Any]) -> list[str]:
    """The paths of the operation that `method` declares, in each of the contracts that has it.

    Raises MisuseError for a method of none of them.
    """
    name = getattr(method, "__name__", "")
    found = [operations(each)[name].path for each in contracts if getattr(each, name, None) is method]
    if not found:
        shown = getattr(method, "__qualname__", repr(method))
        raise MisuseError(
            f"{shown} is no operation of the system's contracts: name it by its contract, as Payments.charge"
        )
    return found
