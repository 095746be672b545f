"""Values as Python writes them, with what must be imported for that."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from meristem.contracts.wiretypes import fields_of


class PythonText:
    """Writes values as expressions; `imports` gathers the names that these need, by module."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {}

    def name(self, cls: type) -> str:
        """A class by the name under which it is imported."""
        self.imports.setdefault(cls.__module__, set()).add(cls.__qualname__.partition(".")[0])
        return cls.__qualname__

    def import_lines(self) -> list[str]:
        """The import statements, sorted as formatters do."""
        return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self.imports.items())]

    def value(self, value: Any) -> str:
        """A value that a contract's type can have, as an expression."""
        if isinstance(value, msgspec.Struct):
            return f"{self.name(type(value))}({', '.join(self.arguments(value))})"
        if isinstance(value, Enum):
            return (
                f"{self.name(type(value))}.{value.name}" if value.name else f"{self.name(type(value))}({value.value!r})"
            )
        if isinstance(value, Decimal | UUID):
            return f'{self.name(type(value))}("{value}")'
        if isinstance(value, float) and not isfinite(value):
            return f'float("{value}")'
        return self._time(value) if isinstance(value, datetime | date | time | timedelta) else self._several(value)

    def _time(self, value: datetime | date | time | timedelta) -> str:
        if isinstance(value, timedelta):
            parts = {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
            return f"{self.name(timedelta)}({', '.join(f'{name}={part}' for name, part in parts.items() if part)})"
        return f'{self.name(type(value))}.fromisoformat("{value.isoformat()}")'

    def _several(self, value: Any) -> str:
        if isinstance(value, dict):
            pairs = (f"{self.value(key)}: {self.value(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(self.value, value))}]"
        if isinstance(value, tuple):
            return f"({', '.join(map(self.value, value))}{',' if len(value) == 1 else ''})"
        if isinstance(value, frozenset | set):
            written = f"{{{', '.join(map(self.value, sorted(value, key=repr)))}}}" if value else ""
            return f"frozenset({written})" if isinstance(value, frozenset) else written or "set()"
        return repr(value)

    def arguments(self, message: Any) -> list[str]:
        """The fields of a message as named arguments, without those that have their defaults."""
        found = []
        for field in fields_of(type(message)):
            given = getattr(message, field.name)
            made = field.default_factory is not msgspec.NODEFAULT
            default = field.default_factory() if made else field.default
            if field.required or given != default:
                found.append(f"{field.name}={self.value(given)}")
        return found
