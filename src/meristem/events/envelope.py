"""The envelope of an event on every wire: CloudEvents 1.0, with the context in which it was published."""

from __future__ import annotations

import hashlib
import random
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.baggage import sound
from meristem.context import Context, Identity, Trace
from meristem.contracts.codec import encode
from meristem.keys import KeyChain
from meristem.log_positions import PRIMARIES

if TYPE_CHECKING:
    from meristem.contracts.message import Event

_UNIQUE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")  # UUID version 7


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="specversion", tag="1.0"
):
    """An event as it travels: the attributes of CloudEvents 1.0 (section 3) and its data.

    That is JSON in `data`, or whatever else in `data_base64`, byte for byte.

    `subject` is the ordering key. `traceparent` and `tracestate` are the Distributed Tracing extension, `authid` and
    `authclaims` the Auth Context extension (the user on whose behalf it happened), `causationid` the idempotency key
    of the work that published it. `baggage` is an extension of our own: the values that travel, as the header of that
    name has them. `sender` is one, too: whose it is, of an event that was accepted from outside the system over HTTP.
    """

    id: str
    source: str
    type: str
    subject: str = ""
    time: datetime | None = None
    datacontenttype: str = ""
    dataschema: str = ""
    traceparent: str = ""
    tracestate: str = ""
    causationid: str = ""
    authtype: str = ""
    authid: str = ""
    authclaims: str = ""
    baggage: str = ""
    sender: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: bytes = b""

    @property
    def origin(self) -> str:
        """What with its id names the event (CloudEvents 1.0.2, section 3.1): the source, which counts for its sender.

        A source is what a sender says it is, and must not make the events of another one repetitions.
        """
        return f"{self.sender} {self.source}" if self.sender else self.source

    @property
    def is_unique(self) -> bool:
        """Whether its id alone names it, as those of this framework do; a sender outside may have copied one."""
        return not self.sender and _UNIQUE.fullmatch(self.id) is not None

    @property
    def name(self) -> str:
        """Names the event among all others."""
        # A control character is in neither, so where the origin ends is known.
        return self.id if self.is_unique else f"{self.origin}\n{self.id}"

    @property
    def short_name(self) -> str:
        """Names it too, in a few characters that every header carries, which an id of others need not do."""
        return self.id if self.is_unique else hashlib.sha256(self.name.encode()).hexdigest()[:32]

    @property
    def published_in(self) -> str | None:
        """The span within which it was published, where its `traceparent` holds."""
        return self.traceparent.strip()[36:52] or None

    def context(self, subscriber: str, deadline: float | None = None) -> Context:
        """What surrounds the handler of `subscriber`: the publisher's trace, user and baggage, and keys of this event.

        A repeated delivery derives the same keys, so that the calls its handler makes have their effect once.
        """
        trace = Trace.parse(self.traceparent, self.tracestate) if self.traceparent else None
        key = f"{self.short_name}:{subscriber}"
        # What comes from outside may call itself as it likes, so also like a service.
        publisher = None if self.sender else self.source.rpartition("/")[2] or None
        user = self._user() if self.authid else None
        keys = KeyChain(key, None if user is None else user.asker)
        around = trace.child() if trace else None
        baggage = sound(self.baggage)
        return Context(deadline, around, publisher, user, baggage, key, keys, positions=PRIMARIES)

    def _user(self) -> Identity:
        claims = msgspec.json.decode(self.authclaims, type=_Claims) if self.authclaims else _Claims()
        return Identity(self.authid, claims.name, claims.roles, claims.tenant)


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = ""
    roles: tuple[str, ...] = ()
    tenant: str = ""


def enclose(event: Event, source: str, now: datetime, context: Context) -> Envelope:
    """Put an event that is published at `now` within `context` into its envelope."""
    trace, user = context.trace, context.user
    cause = context.key or (context.keys.root if context.keys is not None else "")
    return Envelope(
        id=event_id(now),
        source=source,
        type=event.event_type,
        subject=event.ordering_key(),
        time=now,
        datacontenttype="application/json",
        traceparent=trace.header() if trace is not None else "",
        tracestate=trace.state if trace is not None else "",
        causationid=cause,
        baggage=context.baggage,
        data=msgspec.Raw(encode(event)),
        **identified(user),
    )


def identified(user: Identity | None) -> dict[str, Any]:
    """The attributes that say on whose behalf an event happened (Auth Context extension)."""
    if user is None:
        return {}
    claims = encode(_Claims(user.name, user.roles, user.tenant)).decode()
    return {"authtype": "app_user", "authid": user.subject, "authclaims": claims}


def event_id(now: datetime) -> str:
    """A new unique id that sorts by time: UUID version 7 (RFC 9562, section 5.7)."""
    milliseconds = int(now.timestamp() * 1000)
    value = milliseconds << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
