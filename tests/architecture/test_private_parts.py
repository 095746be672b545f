"""The parts of other packages that they promise nobody, and on which we rely: this fails when one of them moves.

Each package has an upper bound in pyproject.toml. Raise it when these tests pass with the new version; where one fails,
the table below says which file to mend.
"""

import asyncio
import re
import tomllib

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.architecture.source import SOURCE

# package: the part, and the room or file that uses it
USED = {
    "uvicorn": {
        "FlowControl": "transports",
        "HttpToolsProtocol": "transports",
        "ServerState": "transports",
        "on_response_complete": "transports",
        "pipeline": "transports",
        "cycle": "transports",
        "response_complete": "transports",
        "more_body": "transports",
        "scope": "transports",
        "shutdown": "transports",
        "resume_reading": "transports",
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
    "asyncio": {"_current_tasks": "resilience/deadline.py"},
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


@pytest.mark.parametrize("package", ["uvicorn", "sqlalchemy", "httptools"])
def test_a_package_whose_private_parts_are_used_has_an_upper_bound(package):
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    (wanted,) = [each for each in project["dependencies"] if re.match(rf"{package}\b", each)]
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


async def test_uvicorns_protocol_has_the_parts_by_which_we_know_when_a_request_is_over():
    done = asyncio.Event()

    async def app(scope, receive, send):
        assert (await receive())["body"] == b"ab"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        done.set()

    config = Config(app, http="httptools", lifespan="off", log_config=None, ws_max_size=1, timeout_keep_alive=1)
    protocol, wire = HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop()), Wire()
    protocol.connection_made(wire)
    assert isinstance(protocol.flow, FlowControl)
    assert protocol.cycle is None
    assert not protocol.pipeline

    protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na")
    assert protocol.cycle.more_body
    assert not protocol.cycle.response_complete
    assert protocol.scope is protocol.cycle.scope
    protocol.data_received(b"b")
    await done.wait()
    assert not protocol.cycle.more_body
    assert protocol.cycle.response_complete
    assert wire.written.startswith(b"HTTP/1.1 204")

    protocol.data_received(b"GET /nex")
    assert protocol.scope is not protocol.cycle.scope  # a new scope from the first byte of the next request on
    protocol.shutdown()
    assert wire.closing
    protocol.connection_lost(None)


def test_uvicorns_protocol_calls_the_methods_that_we_extend():
    for method in ("connection_made", "on_response_complete", "pause_writing", "resume_writing", "connection_lost"):
        assert callable(getattr(HttpToolsProtocol, method))
    assert callable(FlowControl.resume_reading)


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
