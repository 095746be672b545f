"""The table of types in docs/contracts.md says what the code does, cell by cell."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import UUID

import pytest
import sqlalchemy

from meristem import Contract, Message, safe
from meristem.contracts.codec import decoder, encoder
from meristem.contracts.contract import operations
from meristem.contracts.plainjson import from_text, plain
from meristem.contracts.protobuf.json_replies import ProtoReplies
from meristem.contracts.protobuf.proto_text import proto_text
from meristem.contracts.protojson import lenient
from meristem.contracts.schemas import Schemas
from meristem.storage.database import database_for

PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"
HEAD = "| type | value | JSON | to generated clients | OpenAPI | in a query | protobuf | column |"


class Kind(Enum):
    SINGLE = "single"


class Level(IntEnum):
    HIGH = 2


NAMES = {
    "UTC": UTC, "date": date, "datetime": datetime, "time": time, "timedelta": timedelta, "Decimal": Decimal,
    "UUID": UUID, "Literal": Literal, "Kind": Kind, "Level": Level, "Contract": Contract, "Protocol": Protocol,
    "safe": safe, "Message": Message,
}  # fmt: skip


def rows() -> list[list[str]]:
    """The cells of each row; `—` stands for what a type does not have."""
    lines = PAGE.read_text().partition(HEAD)[2].splitlines()[2:]
    table = lines[: lines.index("")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table]
    return [[each.strip().strip("`").replace("\\|", "|") for each in row] for row in cells]


def exchanged(type_: str) -> Any:
    """An operation that takes and gives a value of the type."""
    names: dict[str, Any] = {**NAMES, "__name__": __name__}
    signature = f"async def give(self, value: {type_}) -> {type_}: ..."
    source = f"class Exchange(Contract, Protocol, package='table.v1'):\n    @safe\n    {signature}"
    exec(source, names)
    return operations(names["Exchange"])["give"]


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0])
def test_every_form_of_a_value_is_as_the_table_says(cells):
    type_, value = (eval(each, {}, dict(NAMES)) for each in cells[:2])
    written, generated, schema, query, protobuf = cells[2:7]
    operation = exchanged(cells[0])

    assert encoder(type_)(value).decode() == written
    for read in (decoder(type_), lenient(type_), plain(type_)):
        assert read(written.encode()) == value
    reply = ProtoReplies(operation).json(b'{"result":' + written.encode() + b"}")
    assert json.loads(reply) == {"result": json.loads(generated)}
    assert lenient(operation.request)(b'{"value":' + generated.encode() + b"}").value == value
    schemas = Schemas([type_])
    told = schemas.of(type_)
    for component in schemas.referenced(told).values():
        told = {name: each for name, each in component.items() if name != "title"}
    assert told == json.loads(schema)
    assert f"  {protobuf} result = 1;" in proto_text([operation])
    if query != "—":
        texts = query.split("&")
        assert from_text(type_)(texts if type_ == list[int] else texts[0]) == value


@pytest.mark.parametrize("cells", [each for each in rows() if each[7] != "—"], ids=lambda cells: cells[0])
async def test_a_column_keeps_a_value_as_the_table_says(cells):
    type_, value = (eval(each, {}, dict(NAMES)) for each in cells[:2])
    column = eval(cells[7], {}, vars(sqlalchemy) | NAMES)
    kept = sqlalchemy.Table("kept", sqlalchemy.MetaData(), sqlalchemy.Column("value", column))
    database = database_for("sqlite://")
    await database.start()
    try:
        await database.create(kept.metadata)
        await database.execute(sqlalchemy.insert(kept), {"value": value})

        [found] = await database.fetch_all(sqlalchemy.select(kept.c.value), into=type_)
    finally:
        await database.stop()
    assert (found, type(found)) == (value, type(value))
