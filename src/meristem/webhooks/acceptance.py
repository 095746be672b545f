"""What is accepted from outside: which types from whom, and only what fits the event's class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

from meristem.context import Context, Identity, Trace
from meristem.contracts.codec import decoder, violation
from meristem.contracts.depth import TooDeepError
from meristem.errors import CallError, Code, FieldViolation
from meristem.events.cloudevents import LONGEST, is_json, is_sayable, write_json
from meristem.events.envelope import Envelope, identified
from meristem.keys import owner_of
from meristem.transports.http.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.contracts.message import Event
    from meristem.events.sendable import Sendable

_LONGEST_OTHER: Final = 2048  # bytes of what is a header to many
_SPACE: Final = re.compile(r"\s")
_CLAIMS: Final = dict.fromkeys(("authtype", "authid", "authclaims", "causationid", "baggage", "sender"), "")


class Acceptance:
    """Decides by the classes of the events that are accepted at all.

    A type that is none of them is refused as one that its sender may not publish: strangers are not told which types
    there are. `system` is this system's name, whose own sources are nobody else's; `sendable` is what one may hold.
    """

    def __init__(self, system: str, classes: Mapping[str, type[Event]], *, sendable: Sendable) -> None:
        self._house = system.lower()
        self._sendable = sendable
        self._classes = classes
        self._roles = {role for each in classes.values() for role in each.accepted_roles}

    def admit(self, user: Identity | None) -> Identity:
        """The user; raises CallError for one from whom nothing is accepted, before anything that was sent is read."""
        if user is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first and send `Authorization: Bearer …`")
        if self._roles.isdisjoint(user.roles):
            raise CallError(Code.PERMISSION_DENIED, "no events are accepted from you")
        return user

    def check(self, envelope: Envelope, user: Identity) -> Envelope:
        """The event without what its sender can't know of this system; raises CallError for one that is refused."""
        event_class = self._classes.get(envelope.type)
        if event_class is None or set(event_class.accepted_roles).isdisjoint(user.roles):
            raise CallError(Code.PERMISSION_DENIED, f"events of the type {envelope.type} are not accepted from you")
        self._check_source(envelope.source)
        for name in ("datacontenttype", "dataschema"):
            if len(getattr(envelope, name).encode()) > _LONGEST_OTHER:
                raise unfit(name, f"has more than {_LONGEST_OTHER} bytes")
        if envelope.data_base64 or not is_json(envelope.datacontenttype):
            given = envelope.datacontenttype or "application/json"
            message = f"the data of {envelope.type} is read as JSON, and this says {given!r} and is none"
            raise RefusedError(Code.INVALID_ARGUMENT, 415, message)
        try:
            event: Event = decoder(event_class)(envelope.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TooDeepError) as error:
            found = violation(error)
            raise unfit(f"data.{found.field}" if found.field else "data", found.reason) from None
        # By the key its events have an order among them; a sender that says another one means that.
        subject = envelope.subject or event.ordering_key()
        if len(subject.encode()) > LONGEST:
            raise unfit(f"data.{event.event_key}", f"has more than {LONGEST} bytes, and is the key")
        if not is_sayable(subject):
            raise unfit(f"data.{event.event_key}", "has a control character, and is the key")
        sound = msgspec.structs.replace(envelope, subject=subject, **_CLAIMS)
        if (refusal := self._sendable.refusal(envelope.type, write_json(sound))) is not None:
            raise RefusedError(Code.INVALID_ARGUMENT, 413, refusal)
        return sound

    def _check_source(self, source: str) -> None:
        if _SPACE.search(source):
            raise unfit("source", "is no URI reference: it has a space")
        authority = unquote(source[2:].partition("/")[0]) if source.startswith("//") else ""
        if authority.lower() == self._house:
            raise unfit("source", "is this system's own; name yours")


def unfit(field: str, reason: str) -> CallError:
    """The refusal of an event for one of its attributes, or a field of its data."""
    found = (FieldViolation(field, reason),)
    return CallError(Code.INVALID_ARGUMENT, f"{field}: {reason}", may_have_happened=False, violations=found)


def accepted(envelope: Envelope, context: Context) -> Envelope:
    """The event as it goes on within the call that brought it: for its user alone, and below the trace of its sender.

    The trace in the event itself is the one in which it happened; who sends it does not decide what is recorded.
    """
    user, around, own = context.user, context.trace, Trace.parse(envelope.traceparent, envelope.tracestate)
    is_around = own is None or (around is not None and around.trace_id == own.trace_id)
    trace = around if is_around or own is None else msgspec.structs.replace(own, sampled=False)
    return msgspec.structs.replace(
        envelope,
        traceparent="" if trace is None else trace.header(),
        tracestate="" if trace is None else trace.state,
        baggage=context.baggage,
        sender=owner_of(None if user is None else user.asker),
        **identified(user),
    )
