"""`@on`: which of a service's methods handles which event."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

import msgspec

from meristem.contracts.message import Event
from meristem.errors import MisuseError
from meristem.events.policy import DEFAULT, Begin, DeliveryPolicy

EventT = TypeVar("EventT", bound=Event)
ServiceT = TypeVar("ServiceT")
_MARK: Final = "__subscriptions__"


class Subscription(msgspec.Struct, frozen=True):
    """A method of a service that handles an event, and how its delivery is retried."""

    event: type[Event]
    method: str
    policy: DeliveryPolicy = DEFAULT


class on(Generic[EventT]):  # noqa: N801 - read as a decorator
    """Handle an event: `@on(ReservationCancelled)` above `async def refund(self, event: ReservationCancelled) -> None`.

    Each event is handled once per service, in one unit of work with the record that it was. An error has it
    delivered again, `attempts` times in all with growing pauses (at most `cap` seconds), then it is a dead letter.
    `timeout` bounds one attempt, in seconds. Raise `Undeliverable` for an event that no retry can help.

    A service to which the event is new hears those from now on, or by `begin="first"` all that the bus still keeps.
    """

    def __init__(
        self,
        event: type[EventT],
        *,
        attempts: int = DEFAULT.attempts,
        timeout: float = DEFAULT.timeout,
        base: float = DEFAULT.base,
        cap: float = DEFAULT.cap,
        begin: Begin = DEFAULT.begin,
    ) -> None:
        if not (isinstance(event, type) and issubclass(event, Event) and event.event_type):
            raise MisuseError(f"@on({event!r}): name a class derived from Event, such as @on(ReservationCancelled)")
        self._event = event
        self._terms: dict[str, Any] = {
            "attempts": attempts,
            "timeout": timeout,
            "base": base,
            "cap": cap,
            "begin": begin,
        }

    def __call__(
        self, method: Callable[[ServiceT, EventT], Coroutine[Any, Any, None]]
    ) -> Callable[[ServiceT, EventT], Coroutine[Any, Any, None]]:
        """Mark the method; raises MisuseError when it cannot handle the event, or never could by these terms."""
        where = f"{getattr(method, '__qualname__', method)}, @on({self._event.__name__})"
        if not inspect.iscoroutinefunction(method):
            raise MisuseError(f"{where}: declare it `async def`")
        if len(inspect.signature(method).parameters) != 2:
            expected = f"async def {method.__name__}(self, event: {self._event.__name__}) -> None"
            raise MisuseError(f"{where}: it takes self and the event, nothing else: `{expected}`")
        try:
            policy = DeliveryPolicy(**self._terms)
        except MisuseError as error:
            raise MisuseError(f"{where}: {error}") from None
        marks = (*getattr(method, _MARK, ()), Subscription(self._event, method.__name__, policy))
        setattr(method, _MARK, marks)
        return method


def subscriptions(service: type) -> dict[type[Event], Subscription]:
    """The events that a service class handles; raises MisuseError for two handlers of one event."""
    marked: dict[str, tuple[Subscription, ...]] = {}
    for cls in reversed(service.__mro__):
        marked |= {name: getattr(member, _MARK) for name, member in vars(cls).items() if hasattr(member, _MARK)}
    found: dict[type[Event], Subscription] = {}
    for name, subscribed in marked.items():
        for subscription in subscribed:
            _check_annotation(service, name, subscription.event)
            other = found.setdefault(subscription.event, subscription)
            if other.method != name:
                raise MisuseError(
                    f"{service.__name__}: {other.method} and {name} both handle {subscription.event.__name__}; "
                    "keep one @on and call the other method from it, so that both happen or neither"
                )
    return found


def _check_annotation(service: type, name: str, event: type[Event]) -> None:
    function = getattr(service, name)
    parameter = list(inspect.signature(function).parameters)[1]
    try:
        annotation = typing.get_type_hints(function).get(parameter)
    except NameError:
        return  # declared where the annotation cannot be resolved (inside a function): the type checker has seen it
    if not _accepts(annotation, event):
        raise MisuseError(
            f"{service.__name__}.{name}: its parameter {parameter!r} is not annotated as what @on names; "
            f"write `{parameter}: {event.__name__}`"
        )


def _accepts(annotation: Any, event: type[Event]) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_accepts(each, event) for each in typing.get_args(annotation))
    return annotation is Any or (isinstance(annotation, type) and issubclass(event, annotation))
