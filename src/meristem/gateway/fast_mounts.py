"""Finds what forwards a request by the short way, as `Forwarded` and `Mounts` find what does by the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.hosting.asgi.forwarded import peer_of, told
from meristem.security.forwarding import ContradictionError, is_forwarded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.asgi import Scope
    from meristem.security.forwarding import TrustedProxies
    from meristem.transports.http.fast_path import FastPath, PreparedRequest
    from meristem.transports.http.request import Request


class FastMounts:
    """The short ways below their mounts; None stands for a mount that has none, as of an app that lives here."""

    def __init__(self, ways: Mapping[str, FastPath | None], proxies: TrustedProxies) -> None:
        sized = ((mount.rstrip("/").encode() + b"/", way) for mount, way in ways.items())
        self._ways = sorted(sized, key=lambda each: -len(each[0]))
        self._proxies = proxies

    def prepare(
        self, request: Request, scope: Callable[[], Scope], before: PreparedRequest | None
    ) -> PreparedRequest | None:
        """The request as it goes out; None for one that goes the long way."""
        path = request.path
        if b"%" in path or not path.isascii():  # mounts are told apart by what is meant
            return None
        closed = path + b"/"
        mount, way = next((each for each in self._ways if closed.startswith(each[0])), (b"", None))
        if closed == mount:  # the mount itself, where the long way redirects
            return None
        try:
            return None if way is None else way.prepare(request, lambda: self._seen(request, scope()), before)
        except ContradictionError:  # for which the long way refuses it
            return None

    def _seen(self, request: Request, scope: Scope) -> Scope:
        """The scope as the trusted proxies tell it; raises ContradictionError."""
        if not any(is_forwarded(name) for name, _ in request.fields):
            return scope
        return told(scope, self._proxies.origin(peer_of(scope["client"]), request.fields))
