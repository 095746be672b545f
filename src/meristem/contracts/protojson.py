"""JSON of clients that Meristem did not write: the ProtoJSON mapping, accepted as leniently as it asks.

Accepted beyond what `codec` reads: `bookingId` for `booking_id`, numbers written as strings, null for a field that is
left out, enums by name, base64 in both alphabets with or without padding, durations as `"1.5s"` (`coercion`). What
comes out is validated by msgspec against the same type, so that constraints and error paths are those of every other
wire.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from meristem.contracts.codec import audit, decoder, refusal, refusal_of, violations
from meristem.contracts.coercion import coercer
from meristem.contracts.costly import CostlyError, decimal, frugal
from meristem.contracts.depth import TooDeepError
from meristem.contracts.protokinds import FieldMask
from meristem.contracts.wiretypes import COLLECTIONS, fields_of, is_union, json_spelling, struct_of, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.coercion import Coerce


@cache
def lenient(type_: Any, *, zeros: bool = False) -> Callable[[bytes], Any]:
    """Decodes the JSON of any client into `type_`; raises CallError `invalid_argument` that names the field.

    Most clients write as Meristem does, which is read ten times as fast: so that is tried first, where what it reads
    means the same in the mapping. A field that is given in both spellings counts as it is written in the contract.
    With `zeros` a field that must be there, and is not, is zero, as clients of protobuf leave it out: 0, "", false, [].
    """
    exact, spellings = decoder(type_), Spellings.of(type_)
    mapped = read_by(type_, coercer(type_, zeros=zeros))
    if spellings is None:
        return mapped

    def decode(body: bytes) -> Any:
        if any(each in body for each in spellings):
            return mapped(body)
        try:
            return exact(body)
        except CostlyError as error:
            raise refusal(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return mapped(body)  # it is written as the mapping asks, or the error is found once more

    return decode


def read_by(type_: Any, coerce: Coerce) -> Callable[[bytes], Any]:
    """Decodes JSON into `type_` by what `coerce` makes of it; raises CallError that names each field that is wrong."""
    # a number with a point is read as a Decimal, which has all of its digits
    read, fits = msgspec.json.Decoder(float_hook=decimal).decode, fitting(type_)

    def decode(body: bytes) -> Any:
        try:
            shaped = coerce(read(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None
        return fits(shaped)

    return decode


def fitting(type_: Any) -> Callable[[Any], Any]:
    """Makes a `type_` of decoded JSON; raises CallError that names each field that is wrong."""
    audited, careful = audit(type_), frugal(type_)

    def fits(shaped: Any) -> Any:
        if careful is not None:
            try:
                careful.look(shaped)
            except (msgspec.ValidationError, RecursionError) as error:
                raise refusal(error) from None
        try:
            return audited(msgspec.convert(shaped, type_, str_keys=True))
        except (msgspec.ValidationError, RecursionError) as error:
            first = refusal(error)
            if isinstance(error, RecursionError | TooDeepError):
                raise first from None
            found = violations(type_, shaped) if isinstance(shaped, dict) else []
            found.sort(key=lambda each: each.field != first.violations[0].field)  # as an exact reader would tell it
            raise first if len(found) < 2 else refusal_of(found) from None

    return fits


class Spellings:
    """Gathers what an exact reader would overlook in a body: other spellings of fields that may be missing.

    One that must be there would be missed. What a union may be is not told by the names of fields: a oneof of protobuf
    names a message, and is no field of any.
    """

    def __init__(self) -> None:
        self.found: set[bytes] = set()
        self._seen: set[Any] = set()

    @classmethod
    def of(cls, type_: Any) -> tuple[bytes, ...] | None:
        """The spellings as they stand in JSON; None for a type that must not be read exactly."""
        spellings = cls()
        if not spellings.gather(type_):
            return None
        return (*sorted(spellings.found), b"\\u") if spellings.found else ()  # a name may be written with escapes

    def gather(self, type_: Any) -> bool:
        """Take in a type; False for one that must not be read exactly."""
        type_ = unwrap(type_)
        if is_union(type_):
            members = [each for each in get_args(type_) if each is not type(None)]
            return len(members) == 1 and self.gather(members[0])
        origin = get_origin(type_)
        if origin in (*COLLECTIONS, dict):
            return all(self.gather(each) for each in get_args(type_) if each is not Ellipsis)
        return self.fields(type_) if struct_of(type_) is not None else origin in (None, Literal)

    def fields(self, type_: Any) -> bool:
        """Take in a message; it may hold itself."""
        if type_ is FieldMask:
            return False
        if type_ in self._seen:
            return True
        self._seen.add(type_)
        known = fields_of(type_)
        spelled = {each.encode_name: json_spelling(each) for each in known if not each.required}
        others = [other for name, other in spelled.items() if other != name]
        self.found.update(f'"{each}"'.encode() for each in others)
        return all(self.gather(each.type) for each in known)
