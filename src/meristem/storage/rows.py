"""How raw rows become what the caller asked for: one decoder per statement and type, written once as a comprehension.

A comprehension over positional columns builds a message in about 120 ns, where `msgspec.convert` from a mapping takes
700; so conversion is spent only on the columns whose Python type isn't already the field's.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from meristem.errors import MisuseError, StorageError
from meristem.storage.driver import Decoder, Description


class ResultColumn(NamedTuple):
    """One column of a result: its name, the Python type its values have (if known), and what makes them so."""

    name: str
    python_type: type | None
    process: Callable[[Any], Any] | None


def mappings(columns: Sequence[ResultColumn]) -> Decoder:
    """Rows as dictionaries by column name."""
    parts = [f"{column.name!r}: {_processed(index, column)}" for index, column in enumerate(columns)]
    return _comprehension(f"{{{', '.join(parts)}}}", columns, {})


def values(columns: Sequence[ResultColumn]) -> Decoder:
    """The first column of each row."""
    return _comprehension(_processed(0, columns[0]), columns, {})


def typed(columns: Sequence[ResultColumn], into: type) -> Decoder:
    """Rows as `into`: a message or other record by field name, or a plain type for a single column."""
    if isinstance(into, type) and issubclass(into, msgspec.Struct):
        return _structs(columns, into)
    if is_dataclass(into) or is_typeddict(into) or hasattr(into, "__attrs_attrs__"):
        _match(columns, into, set(get_type_hints(into)), set())
        return _converted(mappings(columns), into)
    if len(columns) != 1:
        raise MisuseError(f"into={into.__name__} takes one column, the statement has {len(columns)}: {_names(columns)}")
    return _converted(values(columns), into)


def _structs(columns: Sequence[ResultColumn], into: type[msgspec.Struct]) -> Decoder:
    fields = {field.name: field for field in msgspec.structs.fields(into)}
    _match(columns, into, set(fields), {name for name, field in fields.items() if not field.required})
    namespace: dict[str, Any] = {"into": into, "convert": _convert_field, "missing": _refuse_null}
    parts = []
    for index, column in enumerate(columns):
        namespace[f"t{index}"] = annotation = fields[column.name].type
        parts.append(f"{column.name}={_field(index, column, annotation)}")
    return _comprehension(f"into({', '.join(parts)})", columns, namespace)


def _field(index: int, column: ResultColumn, annotation: Any) -> str:
    """The expression that makes a field of a column: as it is, refused if NULL, or converted."""
    value = _processed(index, column)
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if annotation is Any or (column.python_type in options and set(options) <= {column.python_type, type(None)}):
        null_is_fine = annotation is Any or type(None) in options
        return value if null_is_fine else f"({value}) if c{index} is not None else missing({column.name!r}, into)"
    return f"convert({value}, t{index}, {column.name!r}, into)"


def _processed(index: int, column: ResultColumn) -> str:
    return f"c{index}" if column.process is None else f"p{index}(c{index})"


def _comprehension(element: str, columns: Sequence[ResultColumn], namespace: dict[str, Any]) -> Decoder:
    namespace |= {f"p{index}": column.process for index, column in enumerate(columns)}
    source = decoder_source(element, columns)
    decoder: Decoder = eval(source, namespace)  # noqa: S307 - made of positions, field names and quoted column names
    return decoder


def decoder_source(element: str, columns: Sequence[ResultColumn]) -> str:
    """The text of a decoder that makes `element` of each row; `c0` is the first column's value.

    For two columns, of which the second has a processor, as mappings:

        lambda rows, description: [{'id': c0, 'amount': p1(c1)} for (c0, c1,) in rows]
    """
    unpacked = ", ".join(f"c{index}" for index in range(len(columns)))
    return f"lambda rows, description: [{element} for ({unpacked},) in rows]"


def _converted(decode: Decoder, into: type) -> Decoder:
    def decoder(rows: list[Any], description: Description) -> list[Any]:
        return [_convert(value, into, into) for value in decode(rows, description)]

    return decoder


def _convert(value: Any, annotation: Any, into: type) -> Any:
    try:
        return msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError as error:
        # The message of msgspec may quote the value, which may be personal: only the place is passed on.
        _, _, path = str(error).partition(" - at ")
        where = f" (at {path})" if path else ""
    raise StorageError(f"a row can't be read as {into.__name__}: a value doesn't fit its field's type{where}")


def _convert_field(value: Any, annotation: Any, name: str, into: type) -> Any:
    try:
        return msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError:
        pass
    raise StorageError(f"a row can't be read as {into.__name__}: column {name!r} doesn't fit the field's type")


def _refuse_null(name: str, into: type) -> NoReturn:
    raise StorageError(f"a row can't be read as {into.__name__}: column {name!r} is NULL, the field isn't optional")


def _match(columns: Sequence[ResultColumn], into: type, fields: set[str], optional: set[str]) -> None:
    names = {column.name for column in columns}
    unknown, missing = names - fields, fields - names - optional
    if unknown or missing:
        problems = [f"no field for the column {name!r}" for name in sorted(unknown)]
        problems += [f"no column for the field {name!r}" for name in sorted(missing)]
        raise MisuseError(
            f"rows can't become {into.__name__}: {'; '.join(problems)}. "
            f"Select exactly its fields, renamed with .label() where needed; the statement has {_names(columns)}"
        )


def _names(columns: Sequence[ResultColumn]) -> str:
    return ", ".join(column.name for column in columns)
