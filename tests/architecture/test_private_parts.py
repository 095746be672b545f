"""The parts of other packages that they promise nobody, and on which we rely: this fails when one of them moves.

Each package has an upper bound in pyproject.toml. Raise it when these tests pass with the new version; where one fails,
the table below says which file to mend.
"""

import asyncio
import itertools
import logging
import re
import tomllib

import asyncpg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.architecture.source import SOURCE
from tests.suites.postgresql import DATABASE, SERVER, schema_of_its_own

# package: the part, and the room or file that uses it
USED = {
    "uvicorn": {
        "ServerState": "transports/http/server/websocket.py",
        "ws_protocol_class": "transports/http/server/websocket.py",
        "logger": "transports/http/server/websocket.py",
        "shutdown": "transports/http/server/pacing.py",
    },
    "sqlalchemy": {
        "_generate_cache_key": "storage/statement_cache.py",
        "bindparams": "storage/statement_cache.py",
        "is_dml": "storage/statement_cache.py",
        "_cache_key_bind_match": "storage/compiled.py",
        "_within_exec_param_key_getter": "storage/compiled.py",
        "_result_columns": "storage/compiled.py",
        "construct_expanded_state": "storage/compiled.py",
        "positiontup": "storage/compiled.py",
        "insert_prefetch": "storage/compiled.py",
        "update_prefetch": "storage/compiled.py",
        "literal_execute_params": "storage/compiled.py",
        "post_compile_params": "storage/compiled.py",
        "effective_value": "storage/compiled.py",
    },
    "asyncpg": {"_cancel": "storage/postgresql/session.py"},
    "asyncio": {"_current_tasks": "resilience/timers.py"},
}
PARTS = [(package, part, where) for package, parts in USED.items() for part, where in parts.items()]
ITEMS = Table("items", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text, default=lambda: "?"))
DIALECT = SQLiteDialect(paramstyle="qmark")


@pytest.mark.parametrize(("package", "part", "where"), PARTS, ids=lambda value: value)
def test_the_table_names_what_is_used_and_where(package, part, where):
    path = SOURCE / where
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert any(re.search(rf"\b{part}\b", each.read_text()) for each in files), (
        f"{where} does without {package}'s {part}"
    )


@pytest.mark.parametrize("package", ["uvicorn", "sqlalchemy", "httptools", "asyncpg"])
def test_a_package_whose_private_parts_are_used_has_an_upper_bound(package):
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    extras = itertools.chain.from_iterable(project["optional-dependencies"].values())
    (wanted,) = [each for each in [*project["dependencies"], *extras] if re.match(rf"{package}\b", each)]
    assert re.search(r",<\d", wanted), wanted


class Wire(asyncio.Transport):
    """The transport of a connection whose client is not there."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_uvicorns_protocol_of_websockets_begins_with_the_bytes_of_a_handshake():
    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        accepted.set()
        await receive()

    accepted, wire = asyncio.Event(), Wire()
    config = Config(app, lifespan="off", log_config=None, ws_max_size=1024)
    config.load()
    protocol = config.ws_protocol_class(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(wire)
    key = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n" + key)
    await accepted.wait()
    assert wire.written.startswith(b"HTTP/1.1 101")

    assert isinstance(protocol.logger, logging.Logger)
    for method in ("pause_writing", "resume_writing"):
        assert callable(getattr(protocol, method))
    protocol.shutdown()
    assert wire.closing
    protocol.connection_lost(None)


def test_a_sqlalchemy_statement_gives_its_cache_key_with_the_values_that_it_holds():
    one, other = select(ITEMS.c.id).where(ITEMS.c.name == "a"), select(ITEMS.c.id).where(ITEMS.c.name == "b")
    first, second = one._generate_cache_key(), other._generate_cache_key()
    assert first.key == second.key
    assert [bind.effective_value for bind in second.bindparams] == ["b"]
    assert (one.is_dml, insert(ITEMS).is_dml) == (False, True)


def test_a_compiled_sqlalchemy_statement_says_where_its_values_go_and_what_its_columns_are():
    statement = select(ITEMS.c.id, ITEMS.c.name).where(ITEMS.c.name == "a", ITEMS.c.id == bindparam("id"))
    key = statement._generate_cache_key()
    compiled = statement.compile(dialect=DIALECT, cache_key=key)
    assert [name for name, _, _, _ in compiled._result_columns] == ["id", "name"]
    assert compiled.positiontup == ["name_1", "id"]
    matched = compiled._cache_key_bind_match[0]
    for name, original in zip(("name_1", "id"), key.bindparams, strict=True):
        assert compiled.binds[name] in matched[original]
    assert compiled.binds["id"].required
    assert not compiled.literal_execute_params
    assert not compiled.post_compile_params


def test_a_compiled_sqlalchemy_insert_names_the_columns_that_a_default_supplies():
    compiled = insert(ITEMS).compile(dialect=DIALECT, column_keys=["id"], for_executemany=True)
    assert [compiled._within_exec_param_key_getter(column) for column in compiled.insert_prefetch] == ["name"]
    assert not compiled.update_prefetch


def test_a_compiled_sqlalchemy_statement_expands_its_lists():
    compiled = select(ITEMS.c.id).where(ITEMS.c.id.in_([1, 2])).compile(dialect=DIALECT)
    assert compiled.post_compile_params
    state = compiled.construct_expanded_state({"id_1": [7, 8, 9]}, escape_names=False)
    assert state.statement.count("?") == 3
    assert [state.parameters[name] for name in state.positiontup] == [7, 8, 9]
    assert state.processors is not None


async def test_asyncio_keeps_the_running_task_where_we_look_for_it():
    loop = asyncio.get_running_loop()
    assert asyncio.tasks._current_tasks.get(loop) is asyncio.current_task()


async def test_asyncpgs_request_to_stop_a_statement_leaves_its_waiter_waiting_for_how_it_went():
    async with schema_of_its_own():
        connection = await asyncpg.connect(f"{SERVER}/{DATABASE}")
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        while not sleeping.done():
            await connection._cancel(asyncio.get_running_loop().create_future())
            await asyncio.wait((sleeping,), timeout=0.05)

        with pytest.raises(asyncpg.QueryCanceledError):
            await sleeping
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
