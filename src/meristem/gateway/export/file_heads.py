"""The comment at the head of each exported file: what wrote it, from what, and what of the policy it does not hold."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.gateway.export.gaps import Shortfall

WIDTH: Final = 100
LUA: Final = ".lua"


def first_line(target: str, system: str, name: str) -> str:
    """By which a file is known again that an earlier export has written; without a time, so it is always the same."""
    return f"{_mark(name)} Written by `meristem gateway export {target}` from the [gateway] of the system {system}."


def headed(text: str, name: str, target: str, system: str, shortfalls: Sequence[Shortfall]) -> str:
    """The text of a file with its head."""
    mark = _mark(name)
    lines = [first_line(target, system, name), f"{mark} What is changed here is lost: change the placement and export."]
    if shortfalls:
        lines.append(f"{mark} What of it holds only approximately:")
    for each in shortfalls:
        told = textwrap.wrap(f"{each}; instead {each.gap.instead}", WIDTH, break_on_hyphens=False)
        lines += (f"{mark} {'  ' if at else '- '}{line}" for at, line in enumerate(told))
    return "\n".join(lines) + "\n\n" + text


def _mark(name: str) -> str:
    return "--" if name.endswith(LUA) else "#"
