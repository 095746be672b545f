"""Who may call: the services of the system by a token, people by a bearer token, everybody what is public."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from meristem.contracts.rest_fields import upload_of
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from meristem.context import Identity
    from meristem.contracts.operation import Operation


class Principal(Protocol):
    """Who a verified token speaks for: the calling service and the user it acts for, either may be absent."""

    @property
    def service(self) -> str | None: ...

    @property
    def user(self) -> Identity | None: ...


Verify: TypeAlias = Callable[[str], Principal | None]
Authenticate: TypeAlias = Callable[[str], Awaitable["Identity | None"]]
"""Turns a bearer token into an identity, None for one that is not valid."""


class Authorizer(msgspec.Struct, frozen=True):
    """Decides for the calls that come in at one address.

    `verify` tells who stands behind a token of the system, `authenticate` whose a bearer token is. `trusted` says
    that who reaches the address belongs to the system, as on a Unix socket that only its own user can open; it
    matters only where no `verify` is given.
    """

    verify: Verify | None
    authenticate: Authenticate | None
    trusted: bool

    def principal(self, operation: Operation, token: str | None) -> Principal | None:
        """Who in the system calls, None for a call from outside; raises CallError for one that may not be made."""
        verify = self.verify
        found = verify(token) if token is not None and verify is not None else None
        if found is None and not operation.public and not (self.trusted and verify is None):
            raise _not_public(operation, token)
        return found

    def is_outside(self, principal: Principal | None) -> bool:
        """Whether a call with this principal comes from outside of the system."""
        return principal is None and not (self.trusted and self.verify is None)

    async def user(self, bearer: str) -> Identity | None:
        """The user whose bearer token that is, None where nobody signs in; raises CallError for one not valid."""
        if self.authenticate is None:
            return None
        user = await self.authenticate(bearer)
        if user is None:
            message = "the bearer token is not valid; sign in again"
            raise CallError(Code.UNAUTHENTICATED, message, may_have_happened=False)
        return user


def bearer_of(authorization: bytes | None) -> str | None:
    """The token in an `authorization` field, None for another scheme than Bearer (RFC 6750, section 2.1)."""
    if authorization is None:
        return None
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    return token.strip(" \t") if scheme.lower() == "bearer" else None


def _not_public(operation: Operation, token: str | None) -> CallError:
    if operation.http is not None and operation.http.alone:
        message = (
            f"{operation.label} asks for the address of who calls, which REST alone tells: call it at "
            f"{operation.http.verb} {operation.http.path}"
        )
    elif token is None:
        by_rest = not operation.takes_stream or upload_of(operation.request) is not None  # of streams, uploads alone
        published = "public=True or http=…" if by_rest else "public=True"
        message = (
            f"{operation.label} is internal: call it from a service of the system, which sends a meristem-token, "
            f"or publish it with {published} in its contract"
        )
    else:
        message = f"{operation.label} is internal and the meristem-token is not valid here: expired or another secret"
    return CallError(Code.PERMISSION_DENIED, message, may_have_happened=False)
