"""The messages and enums of a `.proto` at whatever depth, by their full names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def prefix_of(file: Any) -> str:
    """What stands before the names of a file: its package and a dot."""
    return f"{file.package}." if file.package else ""


def messages_of(file: Any) -> Iterator[tuple[str, Any]]:
    """Each message, before those that stand in it; the entries of maps are messages, too."""
    yield from _within(prefix_of(file), file.message_type)


def enums_of(file: Any) -> Iterator[tuple[str, Any]]:
    """Each enum, those of messages behind the others."""
    for each in file.enum_type:
        yield f"{prefix_of(file)}{each.name}", each
    for holder, message in messages_of(file):
        for each in message.enum_type:
            yield f"{holder}.{each.name}", each


def _within(prefix: str, messages: Any) -> Iterator[tuple[str, Any]]:
    for each in messages:
        yield f"{prefix}{each.name}", each
        yield from _within(f"{prefix}{each.name}.", each.nested_type)
