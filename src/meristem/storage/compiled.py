"""A compiled statement: how the values given become positional parameters, and how its rows are decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.compiler import Compiled, SQLCompiler

from meristem.errors import MisuseError
from meristem.storage.driver import Decoder, Description, shorten
from meristem.storage.rows import ResultColumn

Build = Callable[..., Decoder]
Encode = Callable[[Mapping[str, Any], Sequence[Any]], list[Any]]
"""Makes the positional parameters, of the values given by name and of the binds that the statement holds."""

_UNFIT = (MisuseError, SQLAlchemyError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
_WRITTEN_OUT = 100  # parameters; longer statements are mostly run once, which no function of their own repays


class _Slot(NamedTuple):
    """One position of the statement: the name it is given by, or where the statement holds its value."""

    key: str
    name: str
    place: int  # in the statement's held values; -1 when only the compiled form knows it
    bind: Any
    process: Callable[[Any], Any] | None


class CompiledStatement:
    """One compiled statement, shared by every statement that differs from it in values alone."""

    __slots__ = (
        "_by_name",
        "_compiled",
        "_decoders",
        "_dialect",
        "_encoders",
        "_expanding",
        "_keys",
        "_prefetch",
        "_slots",
        "sets_columns",
        "text",
        "writes",
    )

    def __init__(self, compiled: Compiled, dialect: Dialect) -> None:
        # A statement that defines tables or indexes has neither parameters nor rows.
        query = compiled if isinstance(compiled, SQLCompiler) else None
        self.text = str(compiled)
        self.writes = query is None or bool(query.isinsert or query.isupdate or query.isdelete)
        self.sets_columns = query is not None and bool(query.isinsert or query.isupdate)  # those of its parameters
        self._compiled = query
        self._dialect = dialect
        self._slots = tuple(_slots(query, dialect)) if query is not None else ()
        self._keys = frozenset(key for slot in self._slots for key in (slot.key, slot.name))
        self._prefetch = _prefetch(query) if query is not None else ()
        self._expanding = query is not None and bool(query.literal_execute_params or query.post_compile_params)
        self._by_name = bool(self._prefetch) or self._expanding or len(self._slots) > _WRITTEN_OUT
        self._decoders: dict[Any, Decoder] = {}
        self._encoders: dict[tuple[str, ...], Encode] = {}

    def encode(self, given: Mapping[str, Any], held: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The text to run and its positional parameters, for these values by name."""
        names = tuple(given)
        encode = self._encoders.get(names)
        if encode is None:
            if not self._keys.issuperset(names):
                raise self._unknown(given)
            if self._by_name:
                return self._encode_by_name(given, held)
            # One for each set of names: an UPDATE gives few of its columns, and which is a caller's choice.
            self._encoders[names] = encode = _written(self._slots, names)
        try:
            return self.text, encode(given, held)
        except _UNFIT:
            pass  # and once more, one after the other, for an error that names the value and doesn't hold it
        return self._encode_by_name(given, held)

    def many_text(self) -> str:
        """The text when run for many rows of parameters."""
        if self._expanding:
            raise MisuseError(
                f"an IN list can't be given many times over; run the statement once each: {self._shown()}"
            )
        return self.text

    def decoder(self, build: Build, into: Any = None) -> Decoder:
        """The decoder of this statement's rows that `build` makes, kept for the next time."""
        key = build if into is None else into
        decoder = self._decoders.get(key)
        if decoder is None:
            arguments = () if into is None else (into,)
            columns = _result_columns(self._compiled, self._dialect) if self._compiled is not None else ()
            if not columns and self.writes:
                raise MisuseError(f"this statement gives no rows; add .returning() or use execute(): {self._shown()}")
            decoder = build(columns, *arguments) if columns else _by_names(build, arguments)
            self._decoders[key] = decoder
        return decoder

    def _held_value(self, name: str, given: Mapping[str, Any], bind: Any) -> Any:
        if name in given:
            return given[name]
        if bind.required:
            raise MisuseError(f"the statement needs a value for {name!r}, got {_listed(given)}: {self._shown()}")
        return bind.effective_value

    def _process(self, process: Callable[[Any], Any], value: Any, slot: _Slot) -> Any:
        try:
            return process(value)
        except _UNFIT as error:
            # Only our own messages are known to be free of the value.
            reason = (
                str(error)
                if isinstance(error, MisuseError)
                else f"a {type(value).__name__} doesn't fit {slot.bind.type!r}"
            )
        raise MisuseError(f"the value of {slot.key!r} can't be stored: {reason} ({self._shown()})")

    def _encode_by_name(self, given: Mapping[str, Any], held: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The way of statements with column defaults or IN lists, and of values that don't fit."""
        by_name: dict[str, Any] = {}
        for key, name, index, bind, _ in self._slots:
            if (key if key in given else name) not in given and any(name == late for late, _ in self._prefetch):
                continue
            source = held[index] if index >= 0 else bind
            by_name[name] = given[key] if key in given else self._held_value(name, given, source)
        context = _DefaultContext(by_name)
        for name, default in self._prefetch:
            if name not in by_name:
                by_name[name] = default.arg(context) if default.is_callable else default.arg
        if not self._expanding:
            return self.text, [self._bound(slot, by_name[slot.name]) for slot in self._slots]
        return self._expand(by_name)

    def _bound(self, slot: _Slot, value: Any) -> Any:
        return value if slot.process is None else self._process(slot.process, value, slot)

    def _expand(self, by_name: dict[str, Any]) -> tuple[str, Sequence[Any]]:
        assert self._compiled is not None
        state = self._compiled.construct_expanded_state(by_name, escape_names=False)
        slots = {slot.name: slot for slot in self._slots}
        row = []
        for name in state.positiontup or ():
            value, process = state.parameters[name], state.processors.get(name)
            if name in slots:
                value = self._bound(slots[name], value)
            elif process is not None:
                value = self._process(process, value, _Slot(name, name, -1, _Unnamed, process))
            row.append(value)
        return state.statement, row

    def _unknown(self, given: Mapping[str, Any]) -> MisuseError:
        unknown = ", ".join(repr(name) for name in given if name not in self._keys)
        known = _listed({slot.key: None for slot in self._slots if not slot.key.startswith("%(")})
        return MisuseError(f"the statement has no parameter {unknown}, it has {known}: {self._shown()}")

    def _shown(self) -> str:
        return shorten(self.text)


class _Unnamed:
    type = "the column's type"


class _DefaultContext:
    """What a column's default function is called with, as `Column(default=function)` documents."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.current_parameters = values

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:  # noqa: ARG002
        return self.current_parameters


def _written(slots: Sequence[_Slot], names: tuple[str, ...]) -> Encode:
    """An encoder for values of these names: one list, in which nothing is left to decide."""
    namespace: dict[str, Any] = {"value_of": _value_of}
    for index, slot in enumerate(slots):
        namespace |= {f"p{index}": slot.process, f"b{index}": slot.bind}
    encode: Encode = eval(encoder_source(slots, names), namespace)  # noqa: S307 - positions and quoted names
    return encode


def encoder_source(slots: Sequence[_Slot], names: tuple[str, ...]) -> str:
    """The text of an encoder for values of these names.

    For `update(items).where(items.c.id == bindparam("wanted")).values(name="pen", price=bindparam("price"))` with
    `wanted` and `price` given, of which the price has a processor:

        lambda given, held: [value_of(held[1]), p1(given['price']), given['wanted']]
    """
    values = []
    for index, (key, name, place, _, process) in enumerate(slots):
        known = next((each for each in (key, name) if each in names), None)
        held = f"held[{place}]" if place >= 0 else f"b{index}"
        value = f"value_of({held})" if known is None else f"given[{known!r}]"
        values.append(value if process is None else f"p{index}({value})")
    return f"lambda given, held: [{', '.join(values)}]"


def _value_of(bind: Any) -> Any:
    if bind.required:
        raise LookupError
    return bind.effective_value


def _slots(compiled: SQLCompiler, dialect: Dialect) -> list[_Slot]:
    # A shape is compiled from one statement and run for others: the cache key says which bind stands in which place.
    matched = getattr(compiled, "_cache_key_bind_match", None)
    positions: dict[Any, int] = {}
    if matched is not None and compiled.cache_key is not None:
        for index, original in enumerate(compiled.cache_key[1]):
            positions |= dict.fromkeys(matched[0][original], index)
    slots = []
    for name in compiled.positiontup or ():
        bind = compiled.binds[name]
        process = bind.type.dialect_impl(dialect).bind_processor(dialect)
        slots.append(_Slot(bind.key, name, positions.get(bind, -1), bind, process))
    return slots


def _prefetch(compiled: SQLCompiler) -> tuple[tuple[str, Any], ...]:
    """The parameters that a column's Python-side default or onupdate supplies."""
    if not compiled.isinsert and not compiled.isupdate:
        return ()
    name_of = compiled._within_exec_param_key_getter  # noqa: SLF001 - as SQLAlchemy's own engine asks for it
    inserted = [(name_of(column), column.default) for column in compiled.insert_prefetch or ()]
    return tuple(inserted or [(name_of(column), column.onupdate) for column in compiled.update_prefetch or ()])


def _result_columns(compiled: SQLCompiler, dialect: Dialect) -> tuple[ResultColumn, ...]:
    columns = []
    for name, _, _, type_ in compiled._result_columns:  # noqa: SLF001 - as SQLAlchemy's own engine asks for it
        process = type_.dialect_impl(dialect).result_processor(dialect, None)
        try:
            python_type = type_.python_type
        except NotImplementedError:
            python_type = None
        columns.append(ResultColumn(name, python_type, process))
    return tuple(columns)


def _by_names(build: Build, arguments: Sequence[Any]) -> Decoder:
    """A decoder for text(), whose columns are known only when rows arrive."""
    decoders: dict[Sequence[str], Decoder] = {}

    def decode(raw: list[Any], description: Description) -> list[Any]:
        found = tuple(column[0] for column in description)
        decoder = decoders.get(found)
        if decoder is None:
            decoders[found] = decoder = build([ResultColumn(name, None, None) for name in found], *arguments)
        return decoder(raw, description)

    return decode


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
