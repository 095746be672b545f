"""Takes a snapshot of contracts, events and sagas' inputs: from classes to data."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

import msgspec

from meristem.contracts.codec import encode, fault_payload
from meristem.contracts.contract import operations
from meristem.contracts.decimals import DecimalMeta
from meristem.contracts.evolution.class_places import importable, lines_of, place_of
from meristem.contracts.evolution.snapshot import (
    FORMAT,
    ContractForm,
    ContractsSnapshot,
    EnumForm,
    EventForm,
    FaultForm,
    FieldForm,
    MessageForm,
    OperationForm,
    ProtoEnumForm,
    ProtoFieldForm,
    ProtoForm,
    RestForm,
    SagaForm,
    TypeShape,
    Written,
)
from meristem.contracts.protobuf.shapes import ProtoSchema
from meristem.contracts.rest_fields import raw_media, rest_fields, upload_of
from meristem.contracts.wiretypes import fields_of, is_fixed_tuple, is_union, peel, struct_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from meristem.contracts.contract import Contract
    from meristem.contracts.message import Event
    from meristem.contracts.operation import Http, Operation, Parameter
    from meristem.contracts.protobuf.proto_types import ProtoMessage
    from meristem.errors import Fault

BOUNDS: Final = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length", "tz")
DECIMAL_BOUNDS: Final = ("ge", "gt", "le", "lt", "max_digits", "decimal_places")


class SnapshotTaker:
    """Gathers what it is shown into a snapshot; files are told relative to `root`."""

    def __init__(self, system: str, root: Path) -> None:
        self._system = system
        self._root = root
        self._contracts: dict[str, ContractForm] = {}
        self._messages: dict[str, MessageForm] = {}
        self._enums: dict[str, EnumForm] = {}
        self._faults: dict[str, FaultForm] = {}
        self._events: dict[str, EventForm] = {}
        self._sagas: dict[str, SagaForm] = {}
        self._classes: dict[str, type] = {}

    def contract(self, contract: type[Contract], kept: Mapping[str, tuple[str, ...]]) -> None:
        """Take in a contract; `kept` says of operations by name who reads old replies later."""
        known = operations(contract)
        proto = ProtoSchema(known.values())
        self._contracts[contract.contract_name] = ContractForm(
            {name: self._operation(contract, each, kept.get(name, ())) for name, each in known.items()},
            {_short(proto, name): _proto_message(proto, each) for name, each in proto.messages.items()},
            {
                _short(proto, name): ProtoEnumForm(each.values, each.numbering.reserved())
                for name, each in proto.enums.items()
            },
            {name: _short(proto, proto.requests[each.path]) for name, each in known.items()},
            {name: _short(proto, proto.replies[each.path]) for name, each in known.items()},
            self._source(contract),
        )

    def event(self, event: type[Event]) -> None:
        """Take in an event."""
        self._events[event.event_type] = EventForm(self._message(event), event.event_key)

    def saga(
        self,
        service: str,
        function: Callable[..., Any],
        values: Any,
        answer: Any,
        *,
        version: int,
        supports: int,
        waits: Sequence[str],
    ) -> None:
        """Take in a saga of a service: its function, the message of its input, and the type of its answer."""
        name = f"{service}.{function.__name__}"
        key = self._message(values, name=name)
        file, line = place_of(self._root, function)
        self._sagas[name] = SagaForm(
            key, self.shape(answer), version, supports, tuple(sorted(waits)), Written(file, line)
        )

    def snapshot(self, unread: Mapping[str, str] | None = None) -> ContractsSnapshot:
        """All that was taken in."""
        names = importable(self._classes)
        taken = (self._contracts, self._messages, self._enums, self._faults)
        contracts, messages, enums, faults = (
            {key: _named(each, names) for key, each in kind.items()} for kind in taken
        )
        return ContractsSnapshot(
            FORMAT,
            self._system,
            contracts,
            messages,
            enums,
            faults,
            self._events,
            self._sagas,
            dict(unread or {}),
        )

    def _operation(self, contract: type[Contract], operation: Operation, kept: tuple[str, ...]) -> OperationForm:
        route = None if operation.http is None else _route(operation, operation.http)
        file, line = place_of(self._root, getattr(contract, operation.name))
        both_ways = (operation.takes_stream, operation.stream)
        return OperationForm(
            operation.name,
            self._message(operation.request, name=f"{operation.contract}.{operation.name}" if operation.spread else ""),
            self.shape(operation.reply),
            operation.semantics.value,
            tuple(self._parameter(each) for each in operation.parameters),
            operation.spread,
            both_ways,
            tuple(self._fault(each) for each in operation.raises),
            route,
            operation.authenticated,
            operation.public,
            kept,
            Written(file, line),
        )

    def _parameter(self, parameter: Parameter) -> FieldForm:
        required = parameter.default is msgspec.NODEFAULT
        default = "" if required else _json(parameter.default)
        return FieldForm(
            parameter.name, parameter.name, self.shape(parameter.type), required, default, named=parameter.named
        )

    def shape(self, type_: Any) -> TypeShape:
        """The shape of a type; the messages, enums and faults in it are taken in, too."""
        bare, extras = peel(type_)
        if bare is None or bare is type(None):
            return TypeShape("none")
        if struct_of(bare) is not None:
            return TypeShape("message", self._message(bare))
        if get_origin(bare) is not None:
            return self._composed(bare, _bounds(extras))
        if issubclass(bare, Enum):
            return TypeShape("enum", self._enum(bare))
        return TypeShape(bare.__name__, bounds=_bounds(extras))

    def _composed(self, type_: Any, bounds: dict[str, Any]) -> TypeShape:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is Literal:
            return TypeShape("literal", values=tuple(sorted(arguments, key=lambda each: (str(type(each)), str(each)))))
        parts = tuple(self.shape(each) for each in arguments if each is not Ellipsis)
        if is_union(type_):
            return TypeShape("union", parts=parts)
        kind = "places" if is_fixed_tuple(type_) else origin.__name__
        return TypeShape(kind, parts=parts, bounds=bounds)

    def _message(self, type_: Any, name: str = "") -> str:
        struct: Any = struct_of(type_)
        # One made of parameters has no class; its name has the package in it, for two contracts may be called alike.
        key = name or _path(struct) + (str(list(get_args(type_))) if get_args(type_) else "")
        if key not in self._messages:
            config = struct.__struct_config__
            # Before its fields are looked at: they may hold this very message.
            self._messages[key] = MessageForm(key, ())
            self._messages[key] = MessageForm(
                name or struct.__qualname__,
                self._fields(type_, {} if name else lines_of(struct)),
                config.tag,
                config.tag_field,
                bool(config.forbid_unknown_fields),
                Written() if name else self._source(struct),
            )
        return key

    def _fields(self, type_: Any, lines: Mapping[str, int] | None = None) -> tuple[FieldForm, ...]:
        known = lines or {}
        return tuple(
            FieldForm(
                each.name,
                each.encode_name,
                self.shape(each.type),
                each.required,
                _default(each),
                line=known.get(each.name, 0),
            )
            for each in fields_of(type_)
        )

    def _enum(self, enum: type[Enum]) -> str:
        key = _path(enum)
        if key not in self._enums:
            is_open = enum._missing_.__func__ is not Enum._missing_.__func__  # type: ignore[attr-defined]
            members = {name: each.value for name, each in enum.__members__.items()}
            self._enums[key] = EnumForm(enum.__qualname__, members, is_open, self._source(enum))
        return key

    def _fault(self, fault: type[Fault]) -> str:
        key = _path(fault)
        if key not in self._faults:
            known: Any = fault
            fields = self._fields(fault_payload(known))
            self._faults[key] = FaultForm(fault.__name__, fault.code.value, fields, fault.status, self._source(fault))
        return key

    def _source(self, cls: Any) -> Written:
        file, line = place_of(self._root, cls)
        key = _path(cls)
        self._classes.setdefault(key, cls)
        return Written(file, line, (key,))


def _proto_message(proto: ProtoSchema, message: ProtoMessage) -> ProtoForm:
    fields = tuple(
        ProtoFieldForm(
            each.name, each.number, _short(proto, each.type), each.label, each.key, each.oneof, each.json or ""
        )
        for each in message.fields
    )
    return ProtoForm(fields, message.numbering.reserved())


def _short(proto: ProtoSchema, name: str) -> str:
    """The name of a message within its contract's package."""
    return name.removeprefix(proto.home.full(""))


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _bounds(extras: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in extras:
        names = BOUNDS if isinstance(each, msgspec.Meta) else DECIMAL_BOUNDS if isinstance(each, DecimalMeta) else ()
        told = {name: getattr(each, name) for name in names if getattr(each, name) is not None}
        # A bound of a Decimal is one, too, which JSON would write as text.
        found |= {name: value if isinstance(value, str | bool | int) else float(value) for name, value in told.items()}
    return found


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return _json(field.default)
    return "" if field.default_factory is msgspec.NODEFAULT else _json(field.default_factory())


def _json(value: Any) -> str:
    try:
        return encode(value).decode()
    except (TypeError, ValueError):
        return repr(value)


def _named(form: Any, names: Mapping[str, tuple[str, ...]]) -> Any:
    """The form with all names of its class; a message that is made of parameters has none."""
    source = form.source
    if not source.names:
        return form
    return msgspec.structs.replace(form, source=msgspec.structs.replace(source, names=names[source.names[0]]))


def _route(operation: Operation, http: Http) -> RestForm:
    places = rest_fields(operation.request, http.verb, http.path)
    found = {each.name: places.place_of(each.name) for each in fields_of(operation.request)}
    upload = upload_of(operation.request) if operation.takes_stream else None
    raw = None if places.whole is None else raw_media(places.whole)
    takes = upload.media if upload is not None else raw or ""
    return RestForm(http.verb, http.path, http.status, http.media, found, takes)
