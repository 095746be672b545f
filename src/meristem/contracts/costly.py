"""What takes far longer to make than its bytes tell: sets of values chosen to have one hash, and decimals without end.

Hashes of text are secret to a process, those of numbers and of what is made of them are not (Python's reference,
`object.__hash__`), and in a set values of one hash are each compared with all others. So 150 kB of UUIDs took 1.2 s,
and two megabytes would take minutes. A decimal of 30 MB is made in one go of a quarter second. Where a type has such
values, they are looked at before they are made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.pertype import PerType
from meristem.contracts.wiretypes import fields_of, is_fixed_tuple, is_union, parts_of, struct_of, unwrap

T = TypeVar("T")

FEW: Final = 256  # values are compared with each other in milliseconds
MOST_ALIKE: Final = 16  # with one hash; -1 and -2 have one, and so have a few tuples of them
LIGHT: Final = 64 * 1024  # bytes of decimals are read in half a millisecond
MOST_DIGITS: Final = 2 * 1024 * 1024  # of all decimals in a body, which take 15 ms
HASHED: Final = 400  # digits could be read in the time that the hash of a decimal takes


class CostlyError(msgspec.ValidationError):
    """What would take too long to make, by whatever reader: none is to try again."""


class Costs:
    """What was met so far in one body."""

    __slots__ = ("digits",)

    def __init__(self) -> None:
        self.digits = 0

    def add_digits(self, count: int, path: str) -> None:
        """Raises CostlyError for too many."""
        self.digits += count
        if self.digits > MOST_DIGITS:
            raise _unfit(f"Expected decimals of up to {MOST_DIGITS} digits in all", path)


Look: TypeAlias = Callable[[Any, str, Costs], None]


def decimal(text: str) -> Decimal:
    """The Decimal of a text; raises msgspec.ValidationError for what is none, or too long."""
    if len(text) > MOST_DIGITS:
        raise _unfit(f"Expected a decimal of up to {MOST_DIGITS} digits", "")
    made: Decimal = msgspec.convert(text, Decimal)
    return made


def spread(values: Sequence[T], path: str = "") -> Sequence[T]:
    """Hand on what is to be put into a set; raises CostlyError where too many have one hash."""
    if len(values) <= FEW:
        return values
    crowds: dict[int, set[T]] = defaultdict(set)
    crowded = {each for each, count in Counter(map(hash, values)).items() if count > MOST_ALIKE}
    for value in values if crowded else ():
        if (found := hash(value)) in crowded:
            crowds[found].add(value)
            if len(crowds[found]) > MOST_ALIKE:
                message = f"Expected values of a set or dict whose hashes differ, got more than {MOST_ALIKE} with one"
                raise _unfit(message, path)
    return values


def is_predictable(type_: Any) -> bool:
    """Whether a sender can choose many values of the type that have one hash."""
    bare = unwrap(type_)
    if is_union(bare):
        return any(map(is_predictable, get_args(bare)))
    return bare in (Decimal, UUID) or struct_of(bare) is not None or get_origin(bare) in (tuple, frozenset)


class Frugal(NamedTuple):
    """Looks at decoded JSON of which a value of one type is to be made.

    `look` raises CostlyError for what would take too long, and leaves what does not fit the type for its
    reader to refuse. Numbers with a point may be texts in it. JSON of up to `least` bytes needs no look.
    """

    look: Callable[[Any], None]
    least: int


def frugal(type_: Any) -> Frugal | None:
    """How to look at what becomes a `type_`; None where any may."""
    if not _costs(type_):
        return None
    look = _Looks().of(type_)
    # In a set each value has two bytes at least, its own and what separates it.
    return Frugal(lambda value: look(value, "", Costs()), 2 * FEW if _hashes(type_) else LIGHT)


def _costs(type_: Any) -> bool:
    return _holds(type_, lambda each: each is Decimal or _is_hashed(each))


def _hashes(type_: Any) -> bool:
    return _holds(type_, _is_hashed)


def _is_hashed(bare: Any) -> bool:
    return get_origin(bare) in (set, frozenset, dict) and is_predictable(get_args(bare)[0])


def _holds(type_: Any, wanted: Callable[[Any], bool], seen: frozenset[Any] = frozenset()) -> bool:
    bare = unwrap(type_)
    if bare in seen:
        return False
    return wanted(bare) or any(_holds(each, wanted, seen | {bare}) for each in parts_of(bare))


class _Looks(PerType[Look]):
    """Looks at each decimal, set and dict in decoded JSON, the inner ones first."""

    def build(self, type_: Any) -> Look:
        arguments = get_args(type_)
        if type_ is Decimal:
            return _digits
        if struct_of(type_) is not None:
            fields = {each.encode_name: self.of(each.type) for each in fields_of(type_) if _costs(each.type)}
            return _fields(fields)
        if is_union(type_):
            return _members([self.of(each) for each in arguments if _costs(each)])
        if is_fixed_tuple(type_):
            return _places([(at, self.of(each)) for at, each in enumerate(arguments) if _costs(each)])
        key, item = (arguments[0], arguments[-1]) if get_origin(type_) is dict else (None, arguments[0])
        hashed = item if get_origin(type_) in (set, frozenset) else key
        return _items(self.of(item) if _costs(item) else None, hashed)


def _digits(value: Any, path: str, costs: Costs) -> None:
    if isinstance(value, str):
        costs.add_digits(len(value), path)


def _fields(fields: dict[str, Look]) -> Look:
    def look(value: Any, path: str, costs: Costs) -> None:
        if isinstance(value, dict):
            for name, inner in fields.items():
                if name in value:
                    inner(value[name], f"{path}.{name}", costs)

    return look


def _members(members: list[Look]) -> Look:
    def look(value: Any, path: str, costs: Costs) -> None:
        for each in members:
            each(value, path, costs)

    return look


def _places(places: list[tuple[int, Look]]) -> Look:
    def look(value: Any, path: str, costs: Costs) -> None:
        for at, inner in places if isinstance(value, list) else ():
            if at < len(value):
                inner(value[at], f"{path}[{at}]", costs)

    return look


def _items(inner: Look | None, hashed: Any) -> Look:
    """Of a list, a set or a dict, whose keys or values are `hashed`."""
    is_hashed = hashed is not None and is_predictable(hashed)
    per_value = HASHED if is_hashed and _holds(hashed, lambda each: each is Decimal) else 0

    def look(value: Any, path: str, costs: Costs) -> None:
        if not isinstance(value, list | dict):
            return
        if inner is not None:
            for at, each in enumerate(value.values() if isinstance(value, dict) else value):
                inner(each, f"{path}[...]" if isinstance(value, dict) else f"{path}[{at}]", costs)
        if is_hashed and len(value) > FEW:
            costs.add_digits(len(value) * per_value, path)
            _look_at_hashes(list(value), hashed, path)

    return look


def _look_at_hashes(values: list[Any], type_: Any, path: str) -> None:
    try:
        made = msgspec.convert(values, list[type_], strict=False, str_keys=True)
    except msgspec.ValidationError:
        return  # it does not fit, which is the reader's to say
    spread(made, path)


def _unfit(message: str, path: str) -> CostlyError:
    return CostlyError(f"{message} - at `${path}`" if path else message)
