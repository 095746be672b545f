"""A request that brings CloudEvents, in each of the three modes of the HTTP binding (1.0.2, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.contracts.counting import bound_values
from meristem.errors import CallError, Code, FieldViolation, Undeliverable
from meristem.events.cloudevents import STRUCTURED, WireEvent, from_headers, from_message
from meristem.transports.http.compression import plain_body
from meristem.transports.http.errors import RefusedError
from meristem.webhooks.acceptance import unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.events.envelope import Envelope
    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import Request

BATCH: Final = "application/cloudevents-batch+json"
MOST: Final = 1_000
"""Events of one batch."""
_PREFIX: Final = "ce-"
_CONTENT_TYPE: Final = b"content-type"
_READ: Final = f"{STRUCTURED} for one event, {BATCH} for several, or the attributes of one as ce- headers"
_TOLD: Final = 20  # events of a batch of which it is told what is wrong
_several: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_events(request: Request, body: bytes, limits: Limits, check: Callable[[Envelope], Envelope]) -> list[Envelope]:
    """The events that a request brings, each as `check` gives it; raises CallError for a request that is refused.

    Of a batch all events are taken, or none.
    """
    content_type = _content_type(request)
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    body = plain_body(request.head, body, limits.body_bytes)
    if not media.startswith("application/cloudevents"):
        attributes = _attributes(request)
        _bound(body, limits)
        return [check(_sound(WireEvent(content_type, attributes, body)))]
    if media not in (STRUCTURED, BATCH) or not _is_utf8(parameters):
        raise RefusedError(Code.INVALID_ARGUMENT, 415, f"send {_READ}, not {content_type}")
    _bound(body, limits)
    if media == STRUCTURED:
        return [check(_sound(WireEvent(media, {}, body)))]
    return _checked_batch(body, check)


def _checked_batch(body: bytes, check: Callable[[Envelope], Envelope]) -> list[Envelope]:
    try:
        each_alone = _several.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"a batch is a list of CloudEvents in JSON: {error}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False) from None
    if len(each_alone) > MOST:
        message = f"a batch has {MOST} events at most, and this one {len(each_alone)}; send them in parts"
        raise RefusedError(Code.INVALID_ARGUMENT, 413, message)
    found: list[Envelope] = []
    refused: list[tuple[int, CallError]] = []
    for at, each in enumerate(each_alone):
        try:
            found.append(check(_sound(WireEvent(STRUCTURED, {}, bytes(each)))))
        except CallError as error:
            refused.append((at, error))
    if refused:
        raise _refusal(refused, len(each_alone))
    return found


def _refusal(refused: list[tuple[int, CallError]], count: int) -> CallError:
    denied = next((each for each in refused if each[1].code is Code.PERMISSION_DENIED), None)
    at, first = denied or refused[0]
    message = f"nothing of the batch was taken, as {len(refused)} of its {count} events are refused: [{at}]: "
    if denied is not None:
        return CallError(Code.PERMISSION_DENIED, message + first.message, may_have_happened=False)
    wrong = [
        FieldViolation(f"[{at}]{'.' if each.field else ''}{each.field}", each.reason)
        for at, error in refused[:_TOLD]
        for each in error.violations or (FieldViolation("", error.message),)
    ]
    return CallError(first.code, message + first.message, may_have_happened=False, violations=tuple(wrong))


def _sound(message: WireEvent) -> Envelope:
    try:
        return from_message(message)
    except Undeliverable as error:
        raise CallError(Code.INVALID_ARGUMENT, str(error), may_have_happened=False) from None


def _attributes(request: Request) -> dict[str, str]:
    """The attributes among the headers; raises CallError where these are no event, or say something twice."""
    found: dict[str, str] = {}
    for name, value in request.fields:
        if not name.startswith(_PREFIX.encode()):
            continue
        text = name.decode("latin-1")
        if text in found:
            raise unfit(text, "stands there twice")
        try:
            found[text] = value.decode()
        except UnicodeDecodeError:
            raise unfit(text, "is no UTF-8; percent-encode what is not ASCII") from None
    if f"{_PREFIX}specversion" not in found:
        message = f"this is no CloudEvent: send {_READ}"
        kind = request.head.get(_CONTENT_TYPE, b"").decode("latin-1")
        if not kind or kind.partition(";")[0].strip().lower().endswith("json"):
            raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
        raise RefusedError(Code.INVALID_ARGUMENT, 415, message)
    if f"{_PREFIX}datacontenttype" in found:
        raise unfit("ce-datacontenttype", "is no header of this binding: content-type says it")
    try:
        return from_headers(found, _PREFIX)
    except Undeliverable as error:
        raise CallError(Code.INVALID_ARGUMENT, str(error), may_have_happened=False) from None


def _content_type(request: Request) -> str:
    given = [value for name, value in request.fields if name == _CONTENT_TYPE]
    if len(given) > 1:
        raise unfit("content-type", "stands there twice")
    return given[0].decode("latin-1") if given else ""


def _is_utf8(parameters: str) -> bool:
    """Whether JSON is in the only encoding that it has (RFC 8259, section 8.1)."""
    said = dict(each.strip().lower().partition("=")[::2] for each in parameters.split(";"))
    return said.get("charset", "utf-8").strip('"') in ("utf-8", "utf8", "us-ascii")


def _bound(body: bytes, limits: Limits) -> None:
    bound_values(body, limits.body_values)
