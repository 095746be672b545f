"""Messages and events: the frozen values that cross from one service to another."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform

import msgspec

from meristem.errors import ContractError


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Makes every message frozen and its fields keyword-only, and gives events their name and key."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        package: str | None = None,
        key: str | None = None,
        accepts_from: str | tuple[str, ...] = (),
        tag: str | bool | None = None,
        forbid_unknown_fields: bool = False,
    ) -> Any:
        options: Any = {"frozen": True, "kw_only": True, "tag": tag, "forbid_unknown_fields": forbid_unknown_fields}
        cls: Any = super().__new__(mcls, name, bases, namespace, **options)
        # Of the bases, so not of Event itself, which is never published and has no type on the wire.
        if any(isinstance(base, MessageMeta) and "event_type" in vars(base) for base in bases):
            _name_event(cls, package or cls.event_type.rpartition(".")[0], key or cls.event_key)
            cls.accepted_roles = _roles(name, accepts_from)
        elif package is not None or key is not None or accepts_from:
            said = "`package`, `key` and `accepts_from` belong to events"
            raise ContractError(f"{name}: {said}; derive {name} from Event to publish it")
        return cls


def _name_event(cls: Any, package: str, key: str | None) -> None:
    if not package:
        raise ContractError(f'{cls.__name__}: name its package: class {cls.__name__}(Event, package="shop.orders.v1")')
    if key is not None and key not in cls.__struct_fields__:
        fields = ", ".join(cls.__struct_fields__) or "no fields"
        raise ContractError(f"{cls.__name__}: key={key!r} is none of its fields ({fields})")
    cls.event_type = f"{package}.{cls.__name__}"
    cls.event_key = key


def _roles(name: str, accepts_from: str | tuple[str, ...]) -> tuple[str, ...]:
    roles = (accepts_from,) if isinstance(accepts_from, str) else tuple(accepts_from)
    if not all(isinstance(each, str) and each for each in roles):
        raise ContractError(f'{name}: accepts_from={accepts_from!r}: name a role, or a tuple of them: "carrier"')
    return roles


# Said of the class, too: msgspec.Struct says otherwise of itself, and mypy asks base classes before a metaclass.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, metaclass=MessageMeta):
    """A frozen value with typed fields: what contracts take and return.

    Constraints are written as `Annotated[int, msgspec.Meta(ge=1)]`. Messages that share a union carry a `tag`.
    """


class Event(Message):
    """A message about something that happened; named in the past tense and published inside a transaction.

    `package` prefixes its type on the wire (CloudEvents `type`), `key` names the field by which order is kept:
    two events with one key reach a subscriber in the order of their commits. An event derived from another has a type
    of its own; package and key it inherits where it names none. It is published by the system's own services alone,
    unless it `accepts_from` users with a role, or one of several: these may send it from outside, over HTTP. An event
    that is derived from it is not accepted for that.
    """

    event_type: ClassVar[str] = ""
    event_key: ClassVar[str | None] = None
    accepted_roles: ClassVar[tuple[str, ...]] = ()

    def ordering_key(self) -> str:
        """The value of the key field, or nothing: such events have no order among them."""
        return str(getattr(self, self.event_key)) if self.event_key is not None else ""
