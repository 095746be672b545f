"""A snapshot: what others may know of a system, as data that outlives the code it was made of."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from meristem.errors import ConfigurationError

FORMAT: Final = 1


class TypeShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A type as it is written; `name` is the key of a message or enum, `values` are those of a Literal."""

    kind: str
    name: str = ""
    parts: tuple[TypeShape, ...] = ()
    bounds: dict[str, Any] = {}
    values: tuple[Any, ...] = ()


class FieldForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field of a message, or a parameter: its name in Python, its `key` in JSON, its default as JSON.

    `named` is true of a parameter that is given by name alone, `line` is where the message's class declares the field.
    """

    name: str
    key: str
    type: TypeShape
    required: bool = False
    default: str = ""
    named: bool = False
    line: int = 0


class Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a class or method is written, relative to the project, and all names under which it can be imported."""

    file: str = ""
    line: int = 0
    names: tuple[str, ...] = ()


class MessageForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message; one that is `strict` refuses fields that it does not know."""

    name: str
    fields: tuple[FieldForm, ...]
    tag: str | int | None = None
    tag_field: str | None = None
    strict: bool = False
    source: Written = Written()


class EnumForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An enum; one that is `open` has a member for values that it does not know."""

    name: str
    members: dict[str, Any]
    open: bool = False
    source: Written = Written()


class FaultForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A declared fault, its code, its HTTP status where it has one, and its fields."""

    name: str
    code: str
    fields: tuple[FieldForm, ...]
    status: int | None = None
    source: Written = Written()


class RestForm(msgspec.Struct, frozen=True):
    """Where an operation stands in REST, and from where each field of its request comes.

    `takes` is the media type, or range of them, of a body that is taken as it was sent; empty for JSON.
    """

    verb: str
    path: str
    status: int
    media: str
    places: dict[str, str] = {}
    takes: str = ""


class OperationForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operation; `request` and what it `raises` are keys, `kept` says who reads old replies later."""

    name: str
    request: str
    reply: TypeShape
    semantics: str
    parameters: tuple[FieldForm, ...] = ()
    spread: bool = False
    streams: tuple[bool, bool] = (False, False)
    raises: tuple[str, ...] = ()
    route: RestForm | None = None
    authenticated: bool = False
    public: bool = False
    kept: tuple[str, ...] = ()
    source: Written = Written()


class ProtoFieldForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field of a protobuf message; `oneof` is the name of that in which it stands, `json` that in protobuf's JSON.

    Neither is told where there is none, or none but the usual.
    """

    name: str
    number: int
    type: str
    label: str = ""
    key: str = ""
    oneof: str = ""
    json: str = ""


class ProtoForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of a contract's `.proto`; numbers that are `reserved` will not be given again."""

    fields: tuple[ProtoFieldForm, ...]
    reserved: tuple[int, ...] = ()


class ProtoEnumForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An enum of a contract's `.proto`; numbers that are `reserved` will not be given again."""

    values: dict[str, int]
    reserved: tuple[int, ...] = ()


class ContractForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A contract, and its protobuf: messages and enums by name, and what each operation takes and gives."""

    operations: dict[str, OperationForm]
    proto_messages: dict[str, ProtoForm]
    proto_enums: dict[str, ProtoEnumForm]
    proto_requests: dict[str, str]
    proto_replies: dict[str, str]
    source: Written = Written()


class EventForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event: the key of its message, and the field by which order is kept."""

    message: str
    key: str | None = None


class SagaForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A saga: the key of the message of its input, its answer, versions, and the types of the events it waits for."""

    input: str
    answer: TypeShape
    version: int
    supports: int
    waits: tuple[str, ...] = ()
    source: Written = Written()


class ContractsSnapshot(msgspec.Struct, frozen=True):
    """Everything of a system that others rely on; `unread` are services whose classes could not be imported, and why.

    Contracts and events are found by their names on the wire, messages, enums and faults by where their classes are,
    sagas by service and name (`reservations.book`).
    """

    format: int
    system: str
    contracts: dict[str, ContractForm]
    messages: dict[str, MessageForm]
    enums: dict[str, EnumForm]
    faults: dict[str, FaultForm]
    events: dict[str, EventForm]
    sagas: dict[str, SagaForm]
    unread: dict[str, str] = {}


def write_snapshot(snapshot: ContractsSnapshot) -> bytes:
    """The snapshot as JSON; the same contracts give the same bytes."""
    return msgspec.json.format(msgspec.json.encode(snapshot, order="deterministic"), indent=1) + b"\n"


def read_snapshot(text: bytes, origin: str) -> ContractsSnapshot:
    """Read a snapshot; raises ConfigurationError for what is none, and for one of another release's form."""
    try:
        form = msgspec.json.decode(text, type=_Formed).format
        if form == FORMAT:
            return msgspec.json.decode(text, type=ContractsSnapshot)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{origin} holds no snapshot of contracts: {error}; write one with: meristem contracts check --save FILE"
        ) from None
    raise ConfigurationError(
        f"{origin} is a snapshot of format {form}, and this release reads {FORMAT}: write it anew, by this release, "
        "from the code it was made of"
    )


class _Formed(msgspec.Struct):
    format: int
