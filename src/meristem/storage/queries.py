"""Typed reads, the same on a database and in a unit of work."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, overload

from sqlalchemy.sql import Executable

from meristem.storage import rows
from meristem.storage.driver import Outcome, Statement
from meristem.storage.statement_cache import Parameters, Prepared, StatementCache

T = TypeVar("T")


class Queries(Protocol):
    """The reading half: `into` is each row's type (a message, by field name); without it rows are dictionaries."""

    _statements: StatementCache

    @overload
    async def fetch_one(self, statement: Executable, parameters: Parameters = ...) -> dict[str, Any] | None: ...
    @overload
    async def fetch_one(self, statement: Executable, parameters: Parameters = ..., *, into: type[T]) -> T | None: ...
    async def fetch_one(self, statement: Executable, parameters: Parameters = None, *, into: Any = None) -> Any:
        """The first row, or None when there is none."""
        prepared = self._statements.prepare(statement, parameters)
        found = (await self._fetch(prepared, _step(prepared, parameters, into, first=True))).rows
        return found[0] if found else None

    @overload
    async def fetch_all(self, statement: Executable, parameters: Parameters = ...) -> list[dict[str, Any]]: ...
    @overload
    async def fetch_all(self, statement: Executable, parameters: Parameters = ..., *, into: type[T]) -> list[T]: ...
    async def fetch_all(self, statement: Executable, parameters: Parameters = None, *, into: Any = None) -> Any:
        """Every row, in the statement's order."""
        prepared = self._statements.prepare(statement, parameters)
        return (await self._fetch(prepared, _step(prepared, parameters, into, first=False))).rows

    async def fetch_value(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None when there is none."""
        prepared = self._statements.prepare(statement, parameters)
        step = prepared.step(parameters, prepared.shape.decoder(rows.values), first=True)
        found = (await self._fetch(prepared, step)).rows
        return found[0] if found else None

    async def _fetch(self, prepared: Prepared, step: Statement) -> Outcome: ...


def _step(prepared: Prepared, parameters: Parameters, into: Any, *, first: bool) -> Statement:
    decode = prepared.shape.decoder(rows.mappings if into is None else rows.typed, into)
    return prepared.step(parameters, decode, first=first)
