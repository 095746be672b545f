"""Values between colocated services: checked and separated as a wire would, at nearly no cost.

For each type one function is generated. It hands a value on as it is when it is exactly what the type declares and
nothing in it can change; it rebuilds the mutable containers inside; and whatever else it meets (an int for a float,
a subclass, a broken constraint) makes the trip through the codec, so that the outcome is the wire's by construction.
"""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

import msgspec

from meristem.contracts.codec import UNENCODABLE, decoder, encoder, refusal, unencodable
from meristem.contracts.depth import TooDeepError, check_depth, holds_itself
from meristem.contracts.isolator_writer import IsolatorWriter
from meristem.errors import CallError

if typing.TYPE_CHECKING:
    from collections.abc import Callable


class Isolation(typing.NamedTuple):
    """What stands between colocated services: `admit` is for the request, `separate` for the reply."""

    admit: Callable[[Any], Any]
    separate: Callable[[Any], Any]


@cache
def isolator(type_: Any, refused: Callable[[CallError], CallError] | None = None) -> Callable[[Any], Any]:
    """A function that checks a value of `type_` and separates it from its giver.

    It raises CallError `invalid_argument` for a value that the wire would refuse, or what `refused` makes of that.
    """

    def slowly(value: Any) -> Any:
        try:
            return _through_codec(type_, value)
        except CallError as error:
            if refused is None:
                raise
            raise refused(error) from None

    isolate = IsolatorWriter().isolator(type_, slowly)
    return _within_depth(isolate, slowly) if holds_itself(type_) else isolate


def _within_depth(isolate: Callable[[Any], Any], slowly: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For a type that holds itself: what is too deep makes the trip through the codec, which refuses it."""

    def isolated(value: Any) -> Any:
        try:
            check_depth(value)
        except TooDeepError:
            return slowly(value)
        return isolate(value)

    return isolated


def _through_codec(type_: Any, value: Any) -> Any:
    try:
        return decoder(type_)(encoder(type_)(value))
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        raise refusal(error) from None
    except UNENCODABLE as error:
        raise unencodable(error) from None
