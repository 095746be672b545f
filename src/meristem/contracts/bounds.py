"""What a number of a policy may be, and how one that cannot be meant is refused: by key, value and what is allowed."""

from __future__ import annotations

import sys
import types
import typing
from functools import cache
from itertools import pairwise
from reprlib import repr as shortened
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.codec import AT
from meristem.errors import MisuseError
from meristem.hints import meant

_FINITE: Final = sys.float_info.max

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=_FINITE, description="more than 0 seconds, and finite")]
Pause: TypeAlias = Annotated[float, Meta(ge=0, le=_FINITE, description="0 seconds or more, and finite")]
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1_000_000, description="0 to 1000000 a second")]
Amount: TypeAlias = Annotated[float, Meta(ge=0, le=_FINITE, description="0 or more, and finite")]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1, description="0 to 1")]
Part: TypeAlias = Annotated[float, Meta(gt=0, le=1, description="more than 0, and 1 at most")]
Count: TypeAlias = Annotated[int, Meta(ge=1, description="at least 1")]
ByteCount: TypeAlias = Annotated[int, Meta(ge=1, description="a number of bytes, at least 1")]
Room: TypeAlias = Annotated[int, Meta(ge=0, description="0 or more")]
Attempts: TypeAlias = Annotated[int, Meta(ge=1, description="at least 1, which is the call itself")]


def fits(value: Any, type_: Any) -> bool:
    """Whether a value is what the type allows."""
    return _refusal(value, type_) is None


def wrong(name: str, value: Any, type_: Any) -> str | None:
    """Why a value does not fit: `seconds = 0; give more than 0 seconds, and finite`; None for one that does."""
    reason = _refusal(value, type_)
    if reason is None:
        return None
    allowed = _allowed(type_)
    # What the type is stands in the reason alone; what is wrong with a bound says the description, too.
    told = f": {reason}" if allowed is None or ", got " in reason else ""
    return f"{name} = {shortened(value)}{told}" + ("" if allowed is None else f"; give {allowed}")


def unfit(struct: msgspec.Struct) -> str | None:
    """What a struct that was made in code may not say: `attempts = 0; give at least 1`; None for a sound one.

    The fields that its class names in `rising` must each be at least as much as the one before.
    """
    for name, type_ in _fields(type(struct)).items():
        problem = wrong(name, getattr(struct, name), type_)
        if problem is not None:
            return problem
    return _falling(struct)


def require(struct: msgspec.Struct) -> None:
    """For the end of a policy's making; raises MisuseError that names the class, the field and what is allowed."""
    problem = unfit(struct)
    if problem is not None:
        raise MisuseError(f"{type(struct).__name__}: {problem}")


def misfit(written: Any, type_: Any, *path: str) -> str | None:
    """What does not fit `type_` in a table as TOML gives it: `[policies.bank.breaker]: ratio = 2; give 0 to 1`.

    `path` is where the table stands; None for a sound one.
    """
    if not isinstance(written, dict):
        *table, name = path
        problem = wrong(name, written, type_)
        return None if problem is None else _said(table, problem)
    # What stands deepest first: of the whole, msgspec would say the same without the value and what is allowed.
    for name, value in written.items():
        if (strange := _wrong_key(name, type_)) is not None:
            return _said(path, strange)
        inner = _value_type(type_, name)
        found = None if inner is None else _misfit_below(value, inner, *path, name)
        if found is not None:
            return found
    reason = _refusal(written, type_)
    if reason is not None:
        return _said(path, reason + _hint(written, type_))
    struct = _struct(type_)
    problem = None if struct is None else _falling(msgspec.convert(written, struct))
    return None if problem is None else _said(path, problem)


def _misfit_below(value: Any, type_: Any, *path: str) -> str | None:
    """As `misfit`, of a value or of each table in a list of them: `[[rules]]`, of which the number is told."""
    item = _item_type(type_)
    if item is None or not isinstance(value, list | tuple) or not all(isinstance(each, dict) for each in value):
        return misfit(value, type_, *path)
    *before, name = path
    found = (misfit(each, item, *before, f"{name}[{number}]") for number, each in enumerate(value, 1))
    return next((each for each in found if each is not None), None)


def _item_type(type_: Any) -> Any:
    """The type of what a list has, where that is a table."""
    lists = (each for each in _choices(type_) if typing.get_origin(each) is tuple)
    return next((item for item in (typing.get_args(each)[0] for each in lists) if _struct(item) is not None), None)


def _falling(struct: msgspec.Struct) -> str | None:
    names: tuple[str, ...] = getattr(struct, "rising", ())
    for lower, upper in pairwise(names):
        least, most = getattr(struct, lower), getattr(struct, upper)
        if least > most:
            return f"{lower} = {least!r} is above {upper} = {most!r}; give {' <= '.join(names)}"
    return None


def _refusal(value: Any, type_: Any) -> str | None:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        # In msgspec's own words: they name the key that is unknown or missing, which has no value to be shown with.
        reason = str(error).partition(AT)[0].replace(" | null`", "`")  # what may be left out can't be written as null
        return reason[:1].lower() + reason[1:]
    return None


def _said(table: typing.Sequence[str], problem: str) -> str:
    return f"[{'.'.join(table)}]: {problem}" if table else problem


def _hint(written: dict[str, Any], type_: Any) -> str:
    """For a misspelt key: what was probably meant."""
    struct = _struct(type_)
    known = [] if struct is None else list(_fields(struct))
    unknown = [name for name in written if name not in known]
    hint = meant(unknown[0], known, f"there are {', '.join(known)}") if unknown else ""
    return f"; {hint}" if hint else ""


def _value_type(type_: Any, name: str) -> Any:
    """The type of what stands under a key, where that is known."""
    struct = _struct(type_)
    if struct is not None:
        return _fields(struct).get(name)
    return typing.get_args(type_)[1] if typing.get_origin(type_) is dict else None


def _wrong_key(name: str, type_: Any) -> str | None:
    """Why a key can't stand in a table of any keys."""
    keys = typing.get_args(type_)[0] if typing.get_origin(type_) is dict else str
    if keys is str or fits(name, keys):
        return None
    return f"{name!r} can't stand here; give {_allowed(keys)}"


def _struct(type_: Any) -> type[msgspec.Struct] | None:
    """The struct that a table may be."""
    return next((each for each in _choices(type_) if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def _allowed(type_: Any) -> str | None:
    choices = _choices(type_)
    metas = [meta for each in choices for meta in getattr(each, "__metadata__", ())]
    told = next((meta.description for meta in metas if isinstance(meta, Meta)), None)
    if told is not None:
        return told
    words = _words(choices)
    if words is not None:
        return words
    items = (typing.get_args(each)[0] for each in choices if typing.get_origin(each) is tuple)
    return next((f"for each of them {told}" for each in items if (told := _allowed(each)) is not None), None)


def _words(choices: tuple[Any, ...]) -> str | None:
    """The values of a type that has only these: `403, 404 or 444`; None for another type."""
    values = next((typing.get_args(each) for each in choices if typing.get_origin(each) is typing.Literal), None)
    if values is None:
        return None
    written = [f'"{each}"' if isinstance(each, str) else str(each) for each in values]
    told = " or ".join(filter(None, (", ".join(written[:-1]), written[-1])))
    several = any(typing.get_origin(each) is tuple for each in choices)
    return f"{told}, or a list of these" if several else told


def _choices(type_: Any) -> tuple[Any, ...]:
    return typing.get_args(type_) if typing.get_origin(type_) in (typing.Union, types.UnionType) else (type_,)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}
