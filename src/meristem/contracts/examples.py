"""Examples of whole values, put together from those that types give of their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN: Final = object()
"""Stands for a value of which nothing gives an example: None is one that may be meant."""


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    """A value that fits a JSON Schema, or UNKNOWN.

    It is the schema's own example where it has one, else its constant, default or first choice; an object is made of
    the properties that it requires.
    """
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("type") != "object":
        return UNKNOWN
    required = {name: schema["properties"][name] for name in schema.get("required", ())}
    # A message that requires itself would go on without end, so none exists: its class could have no value.
    made = {name: example_of(each, components) for name, each in required.items()}
    return UNKNOWN if UNKNOWN in made.values() else made
