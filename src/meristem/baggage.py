"""The values that travel with a request, as one text: a list of W3C Baggage (section 3.2.1), the same on every way.

`locale=de,tenant=a%20b` is what stands in a context, in the `baggage` field of a wire, in an event's envelope and in
the row of a saga. So a value passes through processes that don't know it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, unquote, unquote_to_bytes
from weakref import WeakValueDictionary

from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_MEMBER: Final = 1024
LONGEST: Final = 4 * 1024  # of the 8192 bytes that the recommendation has any system carry
LONGEST_SENT: Final = 8 * 1024  # by anybody: of a longer one nothing is read, for that takes long
_OPEN: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"  # what may stand for itself in a value, beside letters and digits
_MEMBER: Final = r"[a-z][a-z0-9_.-]{0,63}=(?:[!#$&-+\--:<-\[\]-~]|%[0-9A-F]{2})*"
_SOUND: Final = re.compile(rf"{_MEMBER}(?:,{_MEMBER})*")


class Declared(Protocol):
    """A value that this process knows by its name."""

    @property
    def public(self) -> bool:
        """Whether callers from outside may set it."""
        ...

    @property
    def traced(self) -> bool:
        """Whether spans tell it."""
        ...

    @property
    def declared_at(self) -> str:
        """File and line."""
        ...

    def admit(self, value: str) -> str:
        """The member of a list for an encoded value that a caller from outside sent; raises CallError."""
        ...


DECLARED: Final[WeakValueDictionary[str, Declared]] = WeakValueDictionary()


def sound(baggage: str) -> str:
    """What another process of the system wrote; nothing of it where it is too long or no such list."""
    return baggage if len(baggage) <= LONGEST and _SOUND.fullmatch(baggage) is not None else ""


def member(name: str, text: str) -> str:
    """A value as a member of a list; raises UnicodeEncodeError for half of a surrogate pair."""
    return f"{name}={quote(text, safe=_OPEN, errors='strict')}"


def with_member(baggage: str, name: str, text: str) -> str:
    """The list with another value of that name."""
    others = [each for each in baggage.split(",") if each and not each.startswith(f"{name}=")]
    return ",".join((*others, member(name, text)))


def text_of(baggage: str, name: str) -> str | None:
    """The value of that name, None if there is none; raises UnicodeError for one that is no UTF-8."""
    for each in baggage.split(","):
        found, _, value = each.partition("=")
        if found == name:
            return decoded(value)
    return None


def decoded(value: str) -> str:
    """A value as it was before it was percent-encoded; raises UnicodeError."""
    return unquote_to_bytes(value.encode("ascii")).decode()


def admitted(baggage: str) -> str:
    """What counts of the list that a caller from outside sent: the public values that are declared in this process.

    Others are left out: a stranger could set a tenant with them, or they are of a tracing system. Of a list above 8192
    bytes nothing counts (W3C Baggage, "Limits"). Raises CallError for a public value that does not fit its type, or is
    given more than once.
    """
    found: dict[str, str] = {}
    for name, value in _members(baggage) if len(baggage) <= LONGEST_SENT else ():
        declared = DECLARED.get(name)
        if declared is None or not declared.public:
            continue
        if name in found:
            raise CallError(Code.INVALID_ARGUMENT, f"baggage: {name} is given more than once", may_have_happened=False)
        found[name] = declared.admit(value)
    kept = ",".join(found.values())
    if len(kept) > LONGEST:
        message = f"baggage: {len(kept)} bytes, and may have {LONGEST}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    return kept


def spanned(baggage: str) -> dict[str, str | int | float | bool]:
    """What a span tells of a list: the values that are declared in this process, and traced."""
    known = ((name, value, DECLARED.get(name)) for name, value in _members(baggage))
    return {
        f"meristem.value.{name}": unquote(value)
        for name, value, declared in known
        if declared is not None and declared.traced
    }


def _members(baggage: str) -> Iterator[tuple[str, str]]:
    """Names and values, still encoded, of a list that anybody wrote: with spaces, and with properties behind `;`."""
    for each in baggage.split(","):
        name, _, value = each.partition(";")[0].partition("=")
        yield name.strip(" \t"), value.strip(" \t")
