"""Where the Lua is that several proxies run."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

STRICT_JSON: Final = files(__package__) / "strict_json.lua"
