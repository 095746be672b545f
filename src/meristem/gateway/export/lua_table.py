"""Values as a table of Lua is written: the same values give the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

PLAIN: Final = re.compile(rb'[^ !#-\[\]-~]|"|\\')
INDENT: Final = "    "


def lua_text(value: Any, indent: str = "") -> str:
    """A value as Lua reads it: text as its bytes in UTF-8, mappings with their names sorted."""
    if isinstance(value, bool | int | float):
        return json.dumps(value, allow_nan=False)
    if isinstance(value, str):
        shown = PLAIN.sub(lambda found: b"\\%03d" % found[0][0], value.encode())
        return f'"{shown.decode()}"'
    below = indent + INDENT
    if isinstance(value, Mapping):
        lines = [f"[{lua_text(name)}] = {lua_text(value[name], below)}" for name in sorted(value)]
    elif isinstance(value, Sequence):
        lines = [lua_text(each, below) for each in value]
    else:
        raise TypeError(f"{value!r} is nothing that Lua has")
    if not lines:
        return "{}"
    return "{\n" + "".join(f"{below}{each},\n" for each in lines) + indent + "}"
