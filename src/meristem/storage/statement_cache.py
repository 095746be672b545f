"""Statements compiled once per shape: constants are known by identity, built ones by SQLAlchemy's own cache key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import ref

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import ClauseElement

from meristem.errors import MisuseError
from meristem.storage.compiled import CompiledStatement
from meristem.storage.driver import Statement

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""What goes with a statement: values by name, or a list of such mappings to run it once for each."""

Compile = Callable[[Any, tuple[str, ...], Any], CompiledStatement]
"""Compiles a statement for parameters of these names; the last is SQLAlchemy's cache key, or None."""

URGENT = "urgent"
"""A statement with this execution option goes before all others that wait for a connection."""
PLANNED_ANEW = "planned_anew"
"""A statement with this one is planned at each run: a plan of when its table was empty reads all of a full one."""
_NOTHING: dict[str, Any] = {}
_MAPPINGS = (dict, Mapping)  # a dictionary is told three times faster than by the abstract class alone
_CONSTANTS_PER_SHAPE = 4
_ENCODED_HERE = 100  # longer lists of parameters are encoded by the driver's thread, so as not to hold the event loop


class Prepared:
    """A statement with its shape and the values that it holds itself; `compiled` makes its shape for other columns."""

    __slots__ = ("_compile", "_statement", "held", "own", "planned_anew", "shape", "urgent")

    def __init__(
        self, shape: CompiledStatement, held: Sequence[Any], own: Mapping[str, Any], statement: Any, compiled: Compile
    ) -> None:
        self.shape = shape
        self.held = held
        self.own = own
        options = statement.get_execution_options()
        self.urgent, self.planned_anew = URGENT in options, PLANNED_ANEW in options
        self._statement = ref(statement)  # what is known of a statement must not keep it
        self._compile = compiled

    def step(self, parameters: Parameters, decode: Any = None, *, first: bool = False) -> Statement:
        """The statement with these values, ready for the driver."""
        if parameters is None or isinstance(parameters, _MAPPINGS):
            given = parameters or _NOTHING
            text, row = self.shape.encode(_given(given, self.own) if self.own else given, self.held)
            return Statement(text, row, decode=decode, first=first, urgent=self.urgent, planned_anew=self.planned_anew)
        rows: Iterable[Any] = self._rows(self._statement(), parameters)
        if len(parameters) <= _ENCODED_HERE:
            rows = list(rows)
        return Statement(self.shape.many_text(), rows, many=True, decode=decode)

    def _rows(self, statement: Any, parameters: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The text to run for each row, and its values; rows that give other columns than the first have their own."""
        encode, held, own = self.shape.encode, self.held, self.own
        others: dict[frozenset[str], CompiledStatement] = {}
        first = _given(parameters[0], own).keys() if parameters else ()
        for row in parameters:
            given = _given(row, own)
            if given.keys() == first or not self.shape.sets_columns:
                yield encode(given, held)
                continue
            names = frozenset(given)
            if names not in others:
                others[names] = self._compile(statement, tuple(given), None)
            yield others[names].encode(given, ())


def _given(row: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**own, **row} if own else row


class StatementCache:
    """Finds a statement's prepared form, compiling only what has not been seen; for the event loop's thread alone."""

    def __init__(self, dialect: Dialect, size: int = 1000) -> None:
        self._dialect = dialect
        self._size = size
        self._shapes: OrderedDict[Any, CompiledStatement] = OrderedDict()
        self._constants: dict[int, tuple[ref[Any], dict[Any, Prepared]]] = {}

    def prepare(self, statement: Executable, parameters: Parameters = None) -> Prepared:
        """The prepared form of a statement for parameters of these names."""
        entry = self._constants.get(id(statement))
        known = entry[1] if entry is not None and entry[0]() is statement else self._remember(statement)
        # Only the columns of an INSERT or UPDATE depend on the names given; a select has one form.
        prepared = known.get(None)
        if prepared is None:
            names = tuple(parameters if isinstance(parameters, dict) else _names(statement, parameters))
            prepared = known.get(names)
            if prepared is None:
                prepared = self._prepare(statement, names)
                known[names if prepared.shape.writes else None] = prepared
        return prepared

    def _remember(self, statement: Executable) -> dict[Any, Prepared]:
        if not isinstance(statement, ClauseElement) or not isinstance(statement, Executable):
            raise MisuseError(
                f"a database runs SQLAlchemy statements (select(), insert(), text()), not {type(statement)!r}"
            )
        key = id(statement)
        constants = self._constants
        if len(constants) >= _CONSTANTS_PER_SHAPE * self._size:
            constants.clear()  # a shape keeps the first statement that had it alive: forget those of shapes long gone
        known: dict[Any, Prepared] = {}
        constants[key] = (ref(statement, lambda _: constants.pop(key, None)), known)
        return known

    def _prepare(self, statement: Any, names: tuple[str, ...]) -> Prepared:
        cache_key = statement._generate_cache_key()  # noqa: SLF001 - as SQLAlchemy's own engine asks for it
        if cache_key is None:
            # Such a shape is the statement's own and refers to it: kept, it would keep the statement for ever.
            self._constants.pop(id(statement), None)
            return Prepared(self._compile(statement, names, None), (), {}, statement, self._compile)
        key = (cache_key.key, names if statement.is_dml else ())
        shape = self._shapes.get(key) or self._add(key, self._compile(statement, names, cache_key))
        self._shapes.move_to_end(key)
        own = cache_key[2] if len(cache_key) > 2 else None
        return Prepared(shape, cache_key.bindparams, own or {}, statement, self._compile)

    def _add(self, key: Any, shape: CompiledStatement) -> CompiledStatement:
        self._shapes[key] = shape
        if len(self._shapes) > self._size:
            self._shapes.popitem(last=False)
        return shape

    def _compile(self, statement: Any, names: tuple[str, ...], cache_key: Any) -> CompiledStatement:
        options: dict[str, Any] = {"cache_key": cache_key}
        if statement.is_dml:
            # As for many rows: SQL defaults are rendered in place, nothing is asked of the database beforehand.
            options |= {"column_keys": list(names), "for_executemany": True}
        try:
            compiled = statement.compile(dialect=self._dialect, **options)
        except SQLAlchemyError as error:
            raise MisuseError(f"the statement can't be compiled: {error}") from error
        return CompiledStatement(compiled, self._dialect)


def _names(statement: Any, parameters: Parameters) -> Iterable[str]:
    if parameters is None or isinstance(parameters, _MAPPINGS):
        return parameters or ()
    if parameters:
        return parameters[0]
    return statement.table.c.keys() if statement.is_dml else ()  # no row: one of nothing but defaults would be meant
