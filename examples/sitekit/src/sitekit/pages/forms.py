"""Reads what a visitor typed: checked by the contracts' own types, explained in the visitor's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints
from uuid import uuid4

import msgspec

from meristem import CallError, Code

KEY = re.compile(r"[0-9a-f]{32}")


class Form:
    """The fields of a form, what they were understood as, what is wrong with them, and the status that says so."""

    def __init__(self, sent: Mapping[str, str] | None = None) -> None:
        self.sent = dict(sent or {})
        self.errors: dict[str, str] = {}
        self.status = 422

    def shown(self, name: str) -> str:
        """What the field shows when the form is rendered again."""
        return self.sent.get(name, "")

    def take(self, name: str, kind: Any, problem: str, *, clean: Callable[[str], str] = str.strip) -> Any:
        """The field as `kind`; None, and `problem` beside the field, if it is not one."""
        try:
            return msgspec.convert(clean(self.sent.get(name, "")), kind, strict=False)
        except msgspec.ValidationError:
            self.errors[name] = problem
            return None

    def build(self, message: type[Any], problems: Mapping[str, str], **clean: Callable[[str], str]) -> Any:
        """A message of the contract from fields of the same names; None if one of them is wrong."""
        hints = get_type_hints(message, include_extras=True)
        values = {
            name: self.take(name, hints[name], problem, clean=clean.get(name, str.strip))
            for name, problem in problems.items()
        }
        return None if any(name in self.errors for name in problems) else message(**values)

    def blame(self, error: CallError, known: Iterable[str]) -> bool:
        """Put the violations of a refused call beside their fields; False if one belongs to none of `known`."""
        fields = set(known)
        for violation in error.violations:
            name = violation.field.rpartition(".")[2]
            if name not in fields:
                return False
            self.errors[name] = violation.reason
        return bool(error.violations)

    def blame_or_raise(self, error: CallError, known: Iterable[str]) -> None:
        """Say beside its fields why a call was refused; raises what has another reason than they."""
        if error.code is not Code.INVALID_ARGUMENT or not self.blame(error, known):
            raise error


def as_typed(text: str) -> str:
    """Leave a field as it is: spaces count in a password."""
    return text


def fresh_key() -> str:
    """A key under which a form has its effect once."""
    return uuid4().hex
