"""Compiling: once per shape, and no more shapes kept than allowed."""

import gc
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, Uuid, bindparam, insert, select
from sqlalchemy.sql.compiler import SQLCompiler

from meristem.errors import MisuseError
from meristem.storage.sqlite.dialect import SqliteDialect
from meristem.storage.statement_cache import StatementCache

ROOMS = Table("rooms", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(20)))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    construct = SQLCompiler.__init__

    def counted(self, *arguments, **options):
        construct(self, *arguments, **options)
        texts.append(self.string)

    monkeypatch.setattr(SQLCompiler, "__init__", counted)
    return texts


def test_a_constant_is_compiled_once(compiled: list[str]):
    cache, constant = StatementCache(SqliteDialect()), select(ROOMS).where(ROOMS.c.id == bindparam("id"))

    steps = [cache.prepare(constant, {"id": number}).step({"id": number}) for number in range(3)]

    assert len(compiled) == 1
    assert [step.parameters for step in steps] == [[0], [1], [2]]


def test_built_statements_of_one_shape_are_compiled_once(compiled: list[str]):
    cache = StatementCache(SqliteDialect())

    steps = [cache.prepare(select(ROOMS).where(ROOMS.c.id == number)).step(None) for number in range(3)]

    assert len(compiled) == 1
    assert [step.parameters for step in steps] == [[0], [1], [2]]


def test_an_insert_has_a_shape_for_each_set_of_columns(compiled: list[str]):
    cache, add = StatementCache(SqliteDialect()), insert(ROOMS)

    for values in ({"id": 1}, {"id": 1, "name": "blue"}, {"id": 2}):
        cache.prepare(add, values).step(values)

    assert len(compiled) == 2


def test_values_given_and_values_held_go_where_they_belong():
    cache = StatementCache(SqliteDialect())
    named = select(ROOMS).where(
        ROOMS.c.name == "blue", ROOMS.c.id == bindparam("which", 7), ROOMS.c.id > bindparam("a")
    )
    limited = select(ROOMS).where(ROOMS.c.id > bindparam("a")).limit(3)

    assert [
        cache.prepare(statement, given).step(given).parameters
        for statement, given in ((named, {"a": 1}), (named, {"a": 1, "which": 2}), (named, {"which": 2, "a": 1}))
    ] == [["blue", 7, 1], ["blue", 2, 1], ["blue", 2, 1]]
    assert cache.prepare(limited, {"a": 1}).step({"a": 1}).parameters == [1, 3, 0]


def test_a_statement_of_many_values_keeps_their_order():
    rows = [{"id": number, "name": f"room {number}"} for number in range(100)]

    step = StatementCache(SqliteDialect()).prepare(insert(ROOMS).values(rows)).step(None)

    assert step.parameters == [value for row in rows for value in row.values()]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"a": 1}, "needs a value for 'b', got 'a'"),
        ({"a": 1, "b": 2, "c": 3}, "no parameter 'c'"),
        ({"a": 1, "b": "secret"}, "value of 'b' can't be stored"),
    ],
)
def test_a_wrong_value_is_refused_after_right_ones_and_not_kept_by_the_error(given: dict[str, object], problem: str):
    cache = StatementCache(SqliteDialect())
    statement = select(ROOMS).where(ROOMS.c.id == bindparam("a"), ROOMS.c.name == bindparam("b", type_=Uuid))
    for good in ({"a": 1, "b": uuid4()}, {"b": uuid4(), "a": 1}):
        cache.prepare(statement, good).step(good)

    with pytest.raises(MisuseError, match=problem) as refused:
        cache.prepare(statement, given).step(given)

    assert refused.value.__context__ is None
    assert "secret" not in str(refused.value)


def test_a_step_is_shown_without_its_values():
    step = StatementCache(SqliteDialect()).prepare(select(ROOMS).where(ROOMS.c.name == "secret")).step(None)

    assert "SELECT rooms.id" in repr(step)
    assert "secret" not in repr(step)


def test_no_more_shapes_are_kept_than_allowed(compiled: list[str]):
    cache = StatementCache(SqliteDialect(), size=2)
    shapes = [select(ROOMS.c.id), select(ROOMS.c.name), select(ROOMS)]

    for shape in (*shapes, shapes[0].where()):
        cache.prepare(shape.select_from(ROOMS))

    assert len(compiled) == 4
    assert len(cache._shapes) == 2


def test_a_statement_that_is_gone_is_forgotten():
    cache, kept = StatementCache(SqliteDialect()), select(ROOMS)
    cache.prepare(kept)

    cache.prepare(select(ROOMS))
    cache.prepare(insert(ROOMS).values([{"id": 1}, {"id": 2}]))
    gc.collect()

    assert list(cache._constants) == [id(kept)]


def test_the_memory_of_statements_is_bounded():
    cache = StatementCache(SqliteDialect(), size=2)

    for number in range(100):
        cache.prepare(select(ROOMS.c.id.label(f"id_{number}")))

    assert len(cache._constants) <= 8
