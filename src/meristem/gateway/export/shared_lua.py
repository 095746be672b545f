"""The Lua that every proxy with Lua runs, by the names under which it is required."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

NAMES: Final = ("utf8", "canonical_path", "strict_json", "token_claims")
"""Each after what it requires itself."""

SHARED: Final[Mapping[str, Traversable]] = {f"meristem.{name}": files(__package__) / f"{name}.lua" for name in NAMES}
