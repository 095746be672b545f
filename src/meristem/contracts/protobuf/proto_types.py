"""What a `.proto` file is made of: messages with their fields, and enums."""

from __future__ import annotations

from typing import Any

import msgspec

from meristem.contracts.protobuf.number_lock import Numbering, ProtoHome


class Field(msgspec.Struct):
    """A field of a protobuf message; `label` is "", "optional" or "repeated", `key` the key type of a map."""

    name: str
    number: int
    type: str
    label: str = ""
    key: str = ""
    oneof: str = ""
    json: str | None = None


class ProtoMessage(msgspec.Struct):
    """A message of protobuf by its full name; `made_of` is the class that it stands for, if that is one."""

    name: str
    home: ProtoHome
    fields: list[Field] = []
    made_of: Any = None
    numbering: Numbering = msgspec.field(default_factory=Numbering)
    module: str = ""  # whose lock keeps its numbers; nobody's, if it has none to keep


class ProtoEnumeration(msgspec.Struct):
    """An enum of protobuf by its full name."""

    name: str
    home: ProtoHome
    values: dict[str, int]
    made_of: Any
    numbering: Numbering

    @property
    def has_aliases(self) -> bool:
        """Whether two names stand for one number."""
        return len(set(self.values.values())) < len(self.values)


class FieldShape(msgspec.Struct, frozen=True):
    """What a Python type becomes as the type of a field."""

    type: str
    label: str = ""
    key: str = ""
