"""The header rules of a `[gateway]` table: what answers and requests are given, and what is taken off."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from meristem.quantities import TimeText
from meristem.security.forwarding import is_forwarded

HeaderName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$(?!\n)",
        description="the name of a header field in small letters, such as x-team",
    ),
]
HeaderValue: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?:[!-~](?:[\t -~]*[!-~])?)?$(?!\n)",
        description="what a header field may hold: visible ASCII, and blanks between",
    ),
]
FRAMING: Final = frozenset(
    ("connection", "content-length", "content-encoding", "content-type", "date", "host", "keep-alive", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
"""What says how a message is read: a rule that changed it would change where the message ends, or what it is."""


class HeaderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that are set, whatever was there, and fields that are removed."""

    set: dict[HeaderName, HeaderValue] = {}
    remove: tuple[HeaderName, ...] = ()

    def with_own(self, own: HeaderTable) -> HeaderTable:
        """These rules with those of a route, which count more; what is set in the end is not among the removed."""
        setting = {name: value for name, value in {**self.set, **own.set}.items() if name not in own.remove}
        removed = dict.fromkeys(name for name in (*self.remove, *own.remove) if name not in setting)
        return HeaderTable(setting, (*removed,))

    def problem(self) -> str | None:
        """What of it no rule may touch; None for a sound one."""
        for name in (*self.set, *self.remove):
            if name in FRAMING:
                return f"{name} says how a message is read; no rule can change it"
            if name.startswith(("meristem-", "x-meristem-")) or is_forwarded(name.encode()):
                return f"{name} is the server's own"
        if twice := {*self.set} & {*self.remove}:
            return f"{min(twice)} is set and removed; keep one"
        return None


class SecurityHeaders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What browsers are told where an answer does not tell it itself; an empty text leaves a field out."""

    content_type_options: HeaderValue = "nosniff"
    referrer_policy: HeaderValue = "strict-origin-when-cross-origin"
    frame_options: HeaderValue = "SAMEORIGIN"
    opener_policy: HeaderValue = "same-origin"
    transport_security: HeaderValue = "max-age=31536000"

    def fields(self, *, https: bool) -> list[tuple[bytes, bytes]]:
        """The header fields, with that of TLS where the request came by it."""
        told = {
            "x-content-type-options": self.content_type_options,
            "referrer-policy": self.referrer_policy,
            "x-frame-options": self.frame_options,
            "cross-origin-opener-policy": self.opener_policy,
            "strict-transport-security": self.transport_security if https else "",
        }
        return [(name.encode(), value.encode()) for name, value in told.items() if value]


class AnswerHeaderTable(HeaderTable, frozen=True, forbid_unknown_fields=True):
    """The header rules of all answers."""

    security: SecurityHeaders = SecurityHeaders()
    remove: tuple[HeaderName, ...] = ("server", "x-powered-by")


class CorsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pages of other origins may read answers (Fetch standard, CORS), and what their scripts may send."""

    origins: tuple[
        Annotated[
            str,
            Meta(
                pattern=r"^(?:\*|https?://(?:\*\.)?[a-z0-9.-]+(?::\d{1,5})?)$(?!\n)",
                description="an origin in small letters such as https://shop.example, one with *. for all below a "
                "host, or * for any",
            ),
        ],
        ...,
    ]
    methods: tuple[Annotated[str, Meta(pattern=r"^[A-Z]+$(?!\n)", description="a method in capitals")], ...] = (
        "GET", "HEAD", "POST",
    )  # fmt: skip
    headers: tuple[HeaderName, ...] = ()
    credentials: bool = False
    expose: tuple[HeaderName, ...] = ()
    max_age: TimeText = "10 min"

    def problem(self) -> str | None:
        """What of it excludes itself; None for a sound one."""
        if self.credentials and "*" in self.origins:
            return 'origins: "*" with credentials would let every page act as whoever reads it; name the origins'
        return None
