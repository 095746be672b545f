"""Functions that are written for one type: the quick way, beside a thorough one that says what is wrong."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, get_origin

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPARISONS: Final = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class UnfitError(Exception):
    """The quick way ends here: the thorough one says why, or finds that the value fits after all."""


class GeneratedSource:
    """The text of generated functions, and the values that they refer to by name."""

    def __init__(self, purpose: str, **names: Any) -> None:
        self.purpose = purpose
        self.names: dict[str, Any] = names
        self.texts: list[str] = []

    def name(self, value: Any) -> str:
        """A name by which the text refers to a value."""
        label = f"n{len(self.names)}"
        self.names[label] = value
        return label

    def define(self, label: str, arguments: str, lines: list[str], type_: Any) -> None:
        """Compile a function, to which those that are compiled later may refer by its label."""
        text = "\n".join([f"def {label}({arguments}):", *("    " + line for line in lines)])
        self.texts.append(text)
        exec(compile(text, f"<{self.purpose} of {type_}>", "exec"), self.names)  # noqa: S102 - own text

    def limits(self, constraints: tuple[Any, ...], v: str = "v") -> list[str]:
        """The conditions that `Meta` makes."""
        conditions: list[str] = []
        for meta in constraints:
            if not isinstance(meta, msgspec.Meta):
                continue
            for attribute, sign in COMPARISONS.items():
                if (bound := getattr(meta, attribute)) is not None:
                    conditions.append(f"{v} {sign} {bound!r}")
            if meta.multiple_of is not None:
                conditions.append(f"{v} % {meta.multiple_of!r} == 0")
            if meta.min_length is not None:
                conditions.append(f"len({v}) >= {meta.min_length}")
            if meta.max_length is not None:
                conditions.append(f"len({v}) <= {meta.max_length}")
            if meta.pattern is not None:
                conditions.append(f"{self.name(re.compile(meta.pattern).search)}({v})")
            if meta.tz is not None:
                conditions.append(f"({v}.tzinfo is None) is {not meta.tz}")
        return conditions


class TypeFunctions(GeneratedSource, ABC):
    """A function for each type of a kind, written when it is first asked for; `arguments` are what it takes."""

    def __init__(self, purpose: str, arguments: str, **names: Any) -> None:
        super().__init__(purpose, **names)
        self._arguments = arguments
        self._labels: dict[Any, str] = {}

    def function(self, type_: Any) -> Any:
        """The function for a type."""
        return self.names[self.reference(type_)]

    def reference(self, type_: Any) -> str:
        """The name of the function for a type, by which the text of others refers to it."""
        key = repr(type_) if get_origin(type_) is not None else type_  # what `Annotated` says may have no hash
        if key not in self._labels:
            label = self._labels[key] = f"f{len(self._labels)}"  # before it is written: a type may hold itself
            self.define(label, self._arguments, self.body(type_) or ["pass"], type_)
        return self._labels[key]

    @abstractmethod
    def body(self, type_: Any) -> list[str]:
        """The statements of the function for a type."""


def many_of(fields: Iterable[msgspec.structs.FieldInfo]) -> str:
    """The expression of how many fields of the message `v` are set."""
    return " + ".join(f"(v.{each.name} is not None)" for each in fields)
