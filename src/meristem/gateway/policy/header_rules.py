"""The header rules of a route at work, on answers and on what apps are given of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.gateway.policy.cors import ANSWERED_HERE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.asgi import Field
    from meristem.gateway.policy.compression_rules import Compression
    from meristem.gateway.policy.header_table import AnswerHeaderTable, HeaderTable
    from meristem.transports.http.request import BodyCoder, Request


class AnswerRules:
    """What the answers of a route are given and lose: by the rules of all answers, then by its own.

    What browsers are told by default an answer may say otherwise. With `cors` it says nothing of other origins.
    """

    def __init__(
        self, everywhere: AnswerHeaderTable, own: HeaderTable, compression: Compression | None, *, cors: bool
    ) -> None:
        self._compression = compression
        rules = everywhere.with_own(own)
        removed = {*rules.remove, *rules.set} | (ANSWERED_HERE if cors else set())
        self._set = tuple((name.encode(), value.encode()) for name, value in rules.set.items())
        self._gone = frozenset(each.encode() for each in removed)
        self._defaults = tuple(
            tuple(each for each in everywhere.security.fields(https=https) if each[0] not in self._gone)
            for https in (False, True)
        )

    def shape(self, request: Request, fields: Iterable[Field]) -> list[Field]:
        """The fields of an answer to a request, by these rules."""
        gone = self._gone
        return self.completed(request, [each for each in fields if each[0].lower() not in gone])

    def key(self, request: Request) -> tuple[str, bytes | None]:
        """The scheme decides about some fields, and what the client accepts about compression."""
        return request.scheme, request.head.get(b"accept-encoding")

    def completed(self, request: Request, fields: list[Field]) -> list[Field]:
        """The fields with those that are set, and those of which they say nothing."""
        fields += self._set
        there = {each[0].lower() for each in fields}
        fields += [each for each in self._defaults[request.scheme == "https"] if each[0] not in there]
        return fields

    def coder(
        self, request: Request, status: int, fields: list[Field], media: bytes = b"", length: int | None = None
    ) -> BodyCoder | None:
        """What compresses the body of an answer, if anything does."""
        known = self._compression
        return None if known is None else known.coder(request, status, fields, media, length)


class RequestHeaders:
    """What apps find in the requests of a route beside what their clients have sent, or do not find."""

    def __init__(self, everywhere: HeaderTable, own: HeaderTable) -> None:
        rules = everywhere.with_own(own)
        self._set = tuple((name.encode(), value.encode()) for name, value in rules.set.items())
        gone = {*rules.remove, *rules.set}
        # An app that knows fields as variables cannot tell `x_team` from `x-team`.
        self._gone = frozenset(each.replace("_", "-").encode() for each in gone)

    def __bool__(self) -> bool:
        return bool(self._gone)

    def apply(self, request: Request) -> None:
        """Change a request; one that comes again stays as it is."""
        gone = self._gone
        request.fields = [each for each in request.fields if each[0].replace(b"_", b"-") not in gone]
        request.fields += self._set
