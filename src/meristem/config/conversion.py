"""From the text of an environment variable to a value of the setting's type, and words for both."""

from __future__ import annotations

import enum
import types
import typing
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from meristem.config.secret import Secret

# msgspec reads true, false, 1 and 0; people write these as well.
YES: Final = {"yes": True, "on": True, "no": False, "off": False}
SEQUENCES: Final = (list, tuple, set, frozenset)
EXAMPLES: Final[dict[Any, str]] = {
    int: "10",
    float: "2.5",
    bool: "true",
    str: "text",
    Secret: "text",
    bytes: "aGVsbG8=",
}


def bare(type_: Any) -> Any:
    """The type without `Annotated` and without `| None`."""
    if get_origin(type_) is Annotated:
        return bare(get_args(type_)[0])
    members = [each for each in union_members(type_) if each is not type(None)]
    return bare(members[0]) if len(members) == 1 and members[0] is not type_ else type_


def union_members(type_: Any) -> tuple[Any, ...]:
    """The members of a union; the type itself when it is none."""
    return get_args(type_) if get_origin(type_) in (Union, types.UnionType) else (type_,)


def optional(type_: Any) -> bool:
    """Whether None is a value of the type."""
    inner = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    return type(None) in union_members(inner)


def secret(type_: Any, holders: frozenset[Any] = frozenset()) -> bool:
    """Whether a Secret may stand anywhere in the type, so that no value of it is shown.

    `holders` are the messages in which the type stands: one that holds itself has nothing more in it the second time.
    """
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        inside = holders | {type_}
        return type_ not in holders and any(secret(each.type, inside) for each in msgspec.structs.fields(type_))
    return type_ is Secret or any(secret(each, holders) for each in get_args(type_) if each is not type_)


def from_text(text: str, type_: Any) -> Any:
    """Convert text; lists are JSON or comma separated, mappings JSON. Raises msgspec.ValidationError."""
    # An environment knows no absence that overrides a value: these words are it.
    if optional(type_) and text.strip().lower() in ("", "none", "null"):
        return None
    kind = bare(type_)
    origin = get_origin(kind) or kind
    value: Any = text
    if kind is bool:
        value = YES.get(text.strip().lower(), text.strip())
    elif origin in SEQUENCES:
        value = _json(text) if text.lstrip().startswith("[") else _separated(text)
    elif origin is dict or (isinstance(origin, type) and issubclass(origin, msgspec.Struct)):
        value = _json(text)
    # Blanks around a number are a slip; in a text or a password they may be meant.
    elif kind is not str and kind is not Secret and isinstance(kind, type):
        value = text.strip()
    # Not strict: all that comes from an environment is text, numbers too.
    return msgspec.convert(value, type_, strict=False, dec_hook=_hook)


def from_value(value: Any, type_: Any) -> Any:
    """Convert a value of a TOML file or a test. Raises msgspec.ValidationError."""
    return msgspec.convert(value, type_, dec_hook=_hook)


def _hook(type_: type, value: Any) -> Any:
    if type_ is Secret and isinstance(value, str):
        return Secret(value)
    return value


def _separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError as error:
        raise msgspec.ValidationError(f"not valid JSON: {error}") from None


def describe(type_: Any) -> str:
    """The type in words that a person who sets it understands."""
    if get_origin(type_) is Annotated:
        return describe(get_args(type_)[0])
    members = union_members(type_)
    if len(members) > 1:
        return " or ".join(describe(each) for each in members)
    origin, inner = get_origin(type_), get_args(type_)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return f"one of {', '.join(str(member.value) for member in type_)}"
    if origin in SEQUENCES:
        return f"a list of {describe(inner[0])}, comma separated or JSON"
    names: dict[Any, str] = {
        str: "text",
        Secret: "a secret text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        type(None): "none",
        dict: "a JSON object",
        list: "a list",
    }
    return names.get(origin or type_, getattr(type_, "__name__", str(type_)))


def example(type_: Any, default: Any) -> str:
    """A value as it would be written into an environment variable."""
    if default is not msgspec.NODEFAULT and default is not None and not secret(type_):
        return _written(default)
    kind = bare(type_)
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return str(next(iter(kind)).value)
    if get_origin(kind) in SEQUENCES:
        return f"{example(typing.get_args(kind)[0], msgspec.NODEFAULT)},…"
    return EXAMPLES.get(kind, "…")


def _written(value: Any) -> str:
    text = msgspec.to_builtins(value, builtin_types=(), enc_hook=str)
    return text if isinstance(text, str) else msgspec.json.encode(text).decode()
