"""The messages as protobuf classes, made at run time from their description."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.peers import quotes

Field = descriptor_pb2.FieldDescriptorProto
SERVICE = "bench.offers.v1.Offers"
FIELDS: dict[str, list[tuple[str, int]]] = {
    "Quote": [
        ("hotel_id", Field.TYPE_INT64),
        ("city", Field.TYPE_STRING),
        ("nights", Field.TYPE_INT64),
        ("price", Field.TYPE_DOUBLE),
    ],
    "Query": [("city", Field.TYPE_STRING), ("count", Field.TYPE_INT64)],
    "Quotes": [("items", Field.TYPE_MESSAGE)],
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="offers.proto", package="bench.offers.v1", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            added = message.field.add(name=field, number=number, type=kind, label=Field.LABEL_OPTIONAL)
            if kind == Field.TYPE_MESSAGE:
                added.label, added.type_name = Field.LABEL_REPEATED, ".bench.offers.v1.Quote"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"bench.offers.v1.{name}") for name in FIELDS)
    return {each.name: message_factory.GetMessageClass(each) for each in found}


CLASSES = _classes()
Quote, Query, Quotes = CLASSES["Quote"], CLASSES["Query"], CLASSES["Quotes"]
QUOTE = Quote(**quotes.QUOTE)
QUERY = Query(**quotes.QUERY)


ROWS = [Quote(**each) for each in quotes.ROWS]


class OffersService:
    """What both protobuf stacks serve."""

    async def echo(self, request: Any, _context: Any) -> Any:
        return request

    async def search(self, request: Any, _context: Any) -> Any:
        return Quotes(items=ROWS[: request.count])
