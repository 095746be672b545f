"""Every reader refuses what is too deep with one error, however deep it is."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from meristem.contracts.contract import Contract, operations
from meristem.contracts.depth import holds_itself
from meristem.contracts.message import Message
from meristem.contracts.operation import Http, operation
from meristem.contracts.plainjson import plain
from meristem.contracts.protojson import lenient
from meristem.errors import CallError
from meristem.transports.http.rest.binding import Binder


class Leaf(Message):
    size: int = 0


class Node(Message):
    child: "Node | None" = None
    many: "dict[str, list[Node]] | None" = None


class Nodes(Contract, Protocol, package="nodes.v1"):
    @operation(http="POST /nodes/{name}")
    async def keep(self, name: str, node: Node) -> None: ...


def nested(levels: int) -> bytes:
    return b'{"child":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def bound(name: str, query: bytes, body: bytes, *placeholders: str) -> Any:
    known = operations(Nodes)[name]
    assert isinstance(known.http, Http)
    return Binder(known, known.http).bind(placeholders, query, body)


READERS: dict[str, Callable[[int], Any]] = {
    "REST": lambda levels: plain(Node)(nested(levels)),
    "RPC": lambda levels: lenient(Node)(nested(levels)),
    "RPC of generated clients": lambda levels: lenient(Node, zeros=True)(nested(levels)),
    "path and body": lambda levels: bound("keep", b"", b'{"node":' + nested(levels - 1) + b"}", "x"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("levels", [101, 400, 900, 100_000])
def test_what_is_too_deep_is_refused_by_every_reader_alike(reader, levels):
    with pytest.raises(CallError) as caught:
        READERS[reader](levels)

    assert caught.value.message == "it is nested more than 100 levels deep"
    assert [each.field for each in caught.value.violations] == [""]


@pytest.mark.parametrize("reader", READERS)
def test_what_is_as_deep_as_is_allowed_is_read(reader):
    assert READERS[reader](100)


def test_only_types_that_hold_themselves_are_looked_into():
    assert holds_itself(Node)
    assert holds_itself(list[dict[str, Node]])
    assert not holds_itself(Leaf)
    assert not holds_itself(dict[str, list[tuple[Leaf, Leaf]]])


@pytest.mark.parametrize("kind", ["[", '{"a":'])
@pytest.mark.parametrize("read", [plain(Leaf), lenient(Leaf)])
def test_depth_in_a_field_that_nobody_knows_is_refused_in_words(read, kind):
    with pytest.raises(CallError) as caught:
        read(b'{"unknown":' + kind.encode() * 100_000 + b"1")

    assert caught.value.message == "it is nested more than 100 levels deep"
