"""Settings that name an app or program of the system, and so get its address: `app://bank`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

APP: Final = "app://"


def part_named(value: Any) -> tuple[str, str] | None:
    """The app or program that the value of a setting names, and the path after it; None for any other value."""
    if not isinstance(value, str) or not value.startswith(APP):
        return None
    name, _, rest = value.removeprefix(APP).partition("/")
    return name, rest


def parts_named(values: Iterable[Any]) -> tuple[str, ...]:
    """The apps and programs that values of settings name, each once."""
    return tuple(dict.fromkeys(found[0] for each in values if (found := part_named(each)) is not None))
