"""How Envoy is asked about header fields, and by which fields the first filter tells the others of a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

Part: TypeAlias = dict[str, Any]
"""A piece of the configuration, as it is written."""

PATH: Final = "x-meristem-path"
REST: Final = "x-meristem-rest"
LITERAL: Final = "x-meristem-literal"
QUERY: Final = "x-meristem-query-bytes"
HEAD: Final = "x-meristem-head-bytes"
SERVED: Final = "x-meristem-served"
HOST: Final = "x-meristem-host"
SEARCH: Final = "x-meristem-query"
"""The path as a policy looks at it, with a slash at its end; as REST reads it; as those do to whom `;` and `\\` are
letters; how long the query is, and the head; and of what a redirect is made: path, host, and the query with its `?`.

`request_head.lua` sets them, and what a client has sent by these names is gone before that.
"""
CHUNKS: Final = "x-meristem-chunks"
"""How a body comes of which the head does not tell the length."""

JOINED: Final = "x-meristem-field-"
"""What stands before the name of a field of which rules ask: all that was sent of it, as one list."""

TELL_PATH: Final = (CHUNKS, PATH, REST, LITERAL, QUERY, HEAD, SERVED, HOST, SEARCH)
MOST: Final = 2**63 - 1
SEEN: Final = "".join(chr(each) for each in range(0x21, 0x7F) if chr(each) != "%")
ANY_BYTES: Final = r"\C*"  # `.` takes no byte that is no UTF-8, and so a sender could lead around a rule


def text(name: str, **match: Any) -> Part:
    """A field that is like a text: exact, prefix, suffix or contains."""
    return {"name": name, "string_match": match}


def pattern(name: str, regex: str) -> Part:
    """A field of which a regular expression (RE2) takes the whole."""
    return text(name, safe_regex={"regex": regex})


def present(name: str, *, there: bool = True) -> Part:
    """A field that is there, or is not."""
    return {"name": name, "present_match": there}


def above(name: str, number: int) -> Part:
    """A field that is a larger number."""
    return {"name": name, "range_match": {"start": number + 1, "end": MOST}}


def one_of(name: str, values: Iterable[str]) -> Part:
    """A field that is one of some texts."""
    known = sorted(values)
    return text(name, exact=known[0]) if len(known) == 1 else pattern(name, "|".join(map(re.escape, known)))


def path_part(path: str) -> str:
    """A path of the policy in the letters in which `PATH` tells it."""
    return quote(path, safe=SEEN)


def like(name: str, wildcards: str) -> Part:
    """A field like a text in which `*` stands for anything, small letters for large ones, too."""
    return pattern(name, "(?i)" + ANY_BYTES.join(map(_joined, wildcards.split("*"))))


def equal(name: str, value: str) -> Part:
    """A field that is this text."""
    return pattern(name, _joined(value)) if "," in value else text(name, exact=value)


def _joined(value: str) -> str:
    """A text in which a list has blanks behind its commas or not: some fields Envoy joins without them as they come."""
    return ",".join(map(re.escape, value.split(","))).replace(",\\ ", ", ?")
