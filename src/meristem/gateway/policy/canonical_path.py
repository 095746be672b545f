"""One spelling of each path: the gateway looks at it, and what stands behind is served by it.

A path can be sent in many spellings, `/admin/`, `//admin/`, `/%61dmin/`, `/x/../admin/`. A policy that looks at one of
them while an app is reached by another holds for nobody who knows that. So a path is put into its normal form (RFC
3986, 6.2.2) before anything is decided about it, and goes on in that form alone; what even then could be read in two
ways is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

UNUSUAL: Final = re.compile(rb"[%\\;]|//|/\.")
ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
NO_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class UnsoundPathError(ValueError):
    """A path that two readers could take for two things."""


def canonical_path(path: bytes) -> tuple[bytes, bytes]:
    """The path as it is served, still percent-encoded, and as a policy looks at it; raises UnsoundPathError.

    Served: escapes of letters, digits and `-._~` are these characters, all others are upper case, several slashes are
    one, `.` and `..` are gone. Looked at: moreover without escapes, with `/` for `\\` and for an escaped slash, and
    without the parameters of a segment (`;v=1`), for among what stands behind are readers of each kind.
    """
    if UNUSUAL.search(path) is None:
        return path, path
    if NO_ESCAPE.search(path) is not None:
        raise UnsoundPathError("a % in a path begins an escape of two hexadecimal digits, such as %20")
    served = _without_dots(ESCAPE.sub(_escape, path))
    seen = unquote_to_bytes(served)
    try:
        seen.decode()
    except UnicodeDecodeError:
        raise UnsoundPathError("the escapes of the path are not UTF-8") from None
    if b"\0" in seen:
        raise UnsoundPathError("a path holds no NUL")
    seen = b"/".join(each.partition(b";")[0] for each in seen.replace(b"\\", b"/").split(b"/"))
    # What only now has dots or empty segments means one place to who splits first, another to who decodes first.
    if _without_dots(seen) != seen:
        raise UnsoundPathError("the path can be read in two ways: write it without escaped slashes, `\\` or `;`")
    return served, seen


def _escape(found: re.Match[bytes]) -> bytes:
    code = int(found[1], 16)
    return bytes((code,)) if code in UNRESERVED else found[0].upper()


def _without_dots(path: bytes) -> bytes:
    """The path without `.`, `..` and empty segments (RFC 3986, 5.2.4); `..` at the root stays there."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for each in segments:
        if each == b"..":
            if kept:
                kept.pop()
        elif each not in (b"", b"."):
            kept.append(each)
    ends = segments[-1:] in ([b""], [b"."], [b".."])
    return b"/" + b"/".join((*kept, b"") if kept and ends else kept)
