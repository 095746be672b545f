"""The framework's own statements are written for every database."""

import re
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement, Executable

from meristem.events import claim_statements, dead_letters, inbox
from meristem.events import statements as events
from meristem.sagas import statements as sagas
from meristem.services import answers
from meristem.storage.sqlite.dialect import SqliteDialect

POSTGRESQL = postgresql.dialect(paramstyle="numeric_dollar")
OWN = {
    f"{module.__name__.removeprefix('meristem.')}.{name}": value
    for module in (events, claim_statements, sagas, answers, inbox, dead_letters)
    for name, value in vars(module).items()
    if isinstance(value, Executable) and isinstance(value, ClauseElement)
}


def text_of(statement: Any, dialect: Any) -> str:
    return re.sub(r"\s+", " ", str(statement.compile(dialect=dialect)))


@pytest.mark.parametrize("name", OWN)
def test_every_statement_of_the_framework_is_understood_by_every_database(name: str):
    assert text_of(OWN[name], POSTGRESQL)
    assert "FOR UPDATE" not in text_of(OWN[name], SqliteDialect())


def test_there_are_statements_of_every_room():
    assert {name.split(".")[0] for name in OWN} == {"events", "sagas", "services"}
    assert len(OWN) > 40


def test_relays_side_by_side_skip_rows_that_another_claims_just_now():
    found = text_of(claim_statements.CLAIM_SIDE_BY_SIDE, POSTGRESQL)

    assert re.search(r"unnest\(array\(.*\), array\(.* FOR UPDATE SKIP LOCKED\)\)", found)
    assert "SKIP LOCKED" not in text_of(claim_statements.CLAIM, POSTGRESQL)


@pytest.mark.parametrize("statement", [sagas.RECORD, sagas.ANSWER])
def test_a_step_is_written_under_a_lock_on_its_saga(statement: Any):
    assert re.search(r"FROM meristem_saga WHERE meristem_saga.id = .* FOR UPDATE\)?", text_of(statement, POSTGRESQL))
