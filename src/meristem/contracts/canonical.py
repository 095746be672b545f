"""The text by which a request is known again: the same in every process, and in every release that only adds to it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import astuple

_LEAVES: Final = frozenset({str, int, bool, float, bytes, UUID, Decimal, date, datetime})  # there is nothing to bare
_write: Final = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical", order="sorted").encode


def canonical(value: Any) -> bytes:
    """JSON in one order, without the fields of messages that have their defaults: equal values are equal text.

    A caller who repeats a request after an update sends nothing for a field that was added meanwhile with a default.
    That must be the request that it was, or the calls below it would be made once more under new keys.
    """
    return _write(_bare(value))


def _bare(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _bare_struct(value)
    if isinstance(value, dict):
        # JSON has no other names than text, and the encoder writes none but those in an order of their own.
        names = value if all(type(name) is str for name in value) else _texts(value)
        return {name: _bare(each) for name, each in zip(names, value.values(), strict=True)}
    if isinstance(value, list | tuple):
        return [_bare(each) for each in value]
    if isinstance(value, set | frozenset):
        return [msgspec.Raw(text) for text in sorted(canonical(each) for each in value)]
    return value


def _bare_struct(value: msgspec.Struct) -> dict[str, Any]:
    tag, fields = _shape(type(value))
    bare = dict(tag)
    for each, (name, default, factory) in zip(astuple(value), fields, strict=True):
        usual = default if factory is None else factory()
        kind = type(each)
        if kind is not type(usual) or each != usual:
            bare[name] = each if kind in _LEAVES else _bare(each)
    return bare


@cache
def _shape(struct: type[msgspec.Struct]) -> tuple[dict[str, Any], list[tuple[str, Any, Any]]]:
    """What tells a message of a union, and of each field its name on the wire, its default and what makes it."""
    config = struct.__struct_config__
    tag = {} if config.tag_field is None else {config.tag_field: config.tag}
    # Of the class and not by `msgspec.structs.fields`, which asks for annotations that may not be there at run time.
    names, defaults = struct.__struct_fields__, struct.__struct_defaults__
    given = (*[msgspec.NODEFAULT] * (len(names) - len(defaults)), *defaults)
    factories = [getattr(default, "factory", None) for default in given]  # also of `[]` as a default
    return tag, list(zip(struct.__struct_encode_fields__, given, factories, strict=True))


def _texts(names: dict[Any, Any]) -> list[str]:
    return list(msgspec.to_builtins(dict.fromkeys(names), str_keys=True))
