"""Typed values that travel with a request: declared once, set by any caller, read by all that happens below."""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, get_args, get_origin, overload
from uuid import UUID

import msgspec
from msgspec.structs import replace

from meristem.baggage import DECLARED, LONGEST, LONGEST_MEMBER, decoded, member, text_of, with_member
from meristem.context import current
from meristem.context import using as within
from meristem.contracts.codec import UNENCODABLE, decoder, encoder, violation
from meristem.contracts.wiretypes import struct_of, unwrap
from meristem.errors import CallError, Code, MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterator

ValueT = TypeVar("ValueT")
DefaultT = TypeVar("DefaultT")

_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NONE: Final[Any] = object()
_BARE: Final = (bool, int, float)
_TEXTS: Final = (str, Decimal, UUID, datetime, date)
_UNREADABLE: Final = (UnicodeError, msgspec.MsgspecError, RecursionError)


class _Typed(GenericAlias):
    """`Travelling[str]`, which tells what it makes that it is of `str`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return Travelling(*arguments, **named, _type=self.__args__[0])


class Travelling(Generic[ValueT]):
    """A value that travels with a request through calls, events and sagas.

    Declare it once, at the top of a module: `Locale = Travelling[str]("locale", default="en")`. A block
    `with Locale.using("de"):` sets it for all that is called, published and started there, and `Locale.get()` reads
    it in all that happens below, in whichever process.

    Its type is text, a number, a bool, a Decimal, a UUID, a moment, an enum of texts or a Message; at most 1024 bytes
    as it travels, and 4096 with all others. Callers outside of the system set only what is `public`. Its value
    stands in spans as `meristem.value.NAME` unless `traced` is false.
    """

    if not TYPE_CHECKING:

        def __class_getitem__(cls, type_: Any) -> Any:
            return _Typed(cls, type_)

    def __init__(
        self,
        name: str,
        *,
        default: ValueT = _NONE,
        public: bool = False,
        traced: bool = True,
        _type: Any = _NONE,
    ) -> None:
        if _NAME.fullmatch(name) is None:
            raise MisuseError(
                f"the travelling value {name!r}: a name is up to 64 of a-z, 0-9, `_`, `.` and `-`, a letter first"
            )
        if _type is _NONE:
            raise MisuseError(f"the travelling value {name!r}: say of which type, Travelling[str]({name!r})")
        self.name = name
        self.public = public
        self.traced = traced
        self._default = default
        self._is_text = _is_text(name, _type)
        self._write, self._read = encoder(_type), decoder(_type)
        if default is not _NONE:
            self._text(default)
        self.declared_at = _place()
        earlier = DECLARED.get(name)
        # The same line may run again: a file that is a program and a module, too, or is loaded anew.
        if earlier is not None and earlier.declared_at != self.declared_at:
            raise MisuseError(
                f"two values travel as {name!r}: one is declared at {earlier.declared_at}, another at "
                f"{self.declared_at}; import the first, or name the second otherwise"
            )
        DECLARED[name] = self

    @overload
    def get(self) -> ValueT: ...

    @overload
    def get(self, default: DefaultT) -> ValueT | DefaultT: ...

    def get(self, default: Any = _NONE) -> Any:
        """The value that came with what runs now, else `default`, else the declared one.

        Raises MisuseError where there is none of them, and CallError for a value that another release of the system
        set and that does not fit the type here.
        """
        baggage = current().baggage
        try:
            text = text_of(baggage, self.name) if baggage else None
            if text is not None:
                return self.read(text)
        except _UNREADABLE as error:
            raise self._unfit(error) from None
        found = self._default if default is _NONE else default
        if found is _NONE:
            raise MisuseError(
                f"no {self.name} came with what runs now: set it around the call, `with ….using(…):`, or say what "
                "holds without, `default=` where it is declared or get(None)"
            )
        return found

    @contextmanager
    def using(self, value: ValueT) -> Iterator[None]:
        """Set the value for a block; raises MisuseError for one that does not fit its type, or is too large."""
        text, context = self._text(value), current()
        baggage = with_member(context.baggage, self.name, text)
        if len(baggage) > LONGEST:
            raise MisuseError(
                f"with {self.name} all values that travel are {len(baggage)} bytes long, and may be {LONGEST}: let "
                "ids travel, and look up what they stand for"
            )
        with within(replace(context, baggage=baggage)):
            yield

    def read(self, text: str) -> ValueT:
        """The value that a text stands for; raises msgspec.MsgspecError or RecursionError."""
        value: ValueT = self._read(msgspec.json.encode(text) if self._is_text else text.encode())
        return value

    def admit(self, value: str) -> str:
        """The member of a list for a value that a caller from outside sent; raises CallError."""
        try:
            text = decoded(value)
            self.read(text)
        except _UNREADABLE as error:
            raise self._unfit(error) from None
        kept = member(self.name, text)
        if len(kept) > LONGEST_MEMBER:
            raise CallError(Code.INVALID_ARGUMENT, f"baggage: {self.name}: {_too_long(kept)}", may_have_happened=False)
        return kept

    def _text(self, value: ValueT) -> str:
        try:
            body = self._write(value)
            text = msgspec.json.decode(body, type=str) if self._is_text else body.decode()
            arrives, kept = self.read(text), member(self.name, text)
        except UNENCODABLE as error:
            raise MisuseError(f"{value!r} is no value of {self.name}: {error}") from None
        if arrives != value:
            raise MisuseError(f"{value!r} is no value of {self.name}: it would arrive as {arrives!r}")
        if len(kept) > LONGEST_MEMBER:
            raise MisuseError(f"{self.name}: {_too_long(kept)}: let an id travel, and look up what it stands for")
        return text

    def _unfit(self, error: Exception) -> CallError:
        found = violation(error)
        where = f"{self.name}.{found.field}" if found.field else self.name
        return CallError(Code.INVALID_ARGUMENT, f"baggage: {where}: {found.reason}", may_have_happened=False)


def _is_text(name: str, type_: Any) -> bool:
    """Whether values of the type are written as text, and not as JSON of another kind; raises MisuseError."""
    bare = unwrap(type_)
    if struct_of(bare) is not None or bare in _BARE:
        return False
    texts: tuple[Any, ...] = ()
    if get_origin(bare) is Literal:
        texts = get_args(bare)
    elif isinstance(bare, type) and issubclass(bare, Enum):
        texts = tuple(each.value for each in bare)
    if bare in _TEXTS or (texts and all(isinstance(each, str) for each in texts)):
        return True
    raise MisuseError(
        f"the travelling value {name!r} can't be of {type_}: take str, a number, bool, Decimal, UUID, date, datetime, "
        "an enum or Literal of texts, or a Message"
    )


def _too_long(kept: str) -> str:
    return f"{len(kept)} bytes as it travels, and may have {LONGEST_MEMBER}"


def _place() -> str:
    """Where the value is declared: the nearest line outside of this module."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
