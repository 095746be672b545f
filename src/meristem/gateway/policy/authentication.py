"""Who sends a request, found out once for all that comes after, and whether a route lets them in."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from meristem.gateway.identity.api_keys import MARK
from meristem.gateway.identity.credential import Credential, InvalidCredentialError, IssuerAwayError
from meristem.gateway.policy.gateway_refusal import refused
from meristem.head_fields import AUTHORIZATION
from meristem.lifecycle import Stack
from meristem.transports.authorize import bearer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.gateway.identity.issuers import Issuers
    from meristem.gateway.identity.key_ring import KeyRing
    from meristem.gateway.policy.browser_sign_in import SignIn
    from meristem.gateway.policy.identity_tables import Require
    from meristem.gateway.policy.visit import Outcome, Visit
    from meristem.lifecycle import Component
    from meristem.transports.http.request import Request
    from meristem.transports.http.responses import Response

API_KEY: Final = b"x-api-key"
CHALLENGE: Final = b"www-authenticate"
NOT_STORED: Final = (b"cache-control", b"no-store")
PRIVATE: Final = (b"cache-control", b"private")
"""What is answered to somebody is nothing for a cache of many: it may take a key or a cookie for no credential."""


class Authenticator:
    """What tells who sends a request: a bearer token of an issuer, an API key, or the session of a browser.

    As a component it is made of `parts`, which read keys between its start and its stop.
    """

    def __init__(
        self,
        issuers: Issuers | None = None,
        keys: KeyRing | None = None,
        parts: Sequence[Component] = (),
        sign_in: SignIn | None = None,
    ) -> None:
        self.sign_in = sign_in
        self._issuers = issuers
        self._keys = keys
        self._parts = parts
        self._stack = Stack()

    async def start(self) -> None:
        """Begin to read keys; raises ConfigurationError for a file of keys that can't be read."""
        for each in self._parts:
            await self._stack.start(each)

    async def drain(self) -> None:
        """It is asked to the end."""

    async def stop(self) -> None:
        """Read no more."""
        await self._stack.stop()

    def find(self, request: Request) -> Credential | Awaitable[Credential | None] | None:
        """What a request proves, None where it has nothing to prove it by; or what that is awaited by.

        Raises InvalidCredentialError for what proves nothing, and IssuerAwayError.
        """
        head = request.head
        bearer, key = bearer_of(head.get(AUTHORIZATION)), head.get(API_KEY)
        if key is not None:
            if bearer is not None:  # RFC 6750, section 2: one of them alone
                raise InvalidCredentialError("there are two credentials; send one")
            bearer = key.decode("latin-1")
            if not bearer.startswith(MARK):
                raise InvalidCredentialError("the API key is not known")
        if bearer is None:
            return None if self.sign_in is None else self.sign_in.find(request)
        if bearer.startswith(MARK):
            if self._keys is None:
                raise InvalidCredentialError("API keys are not taken here")
            return self._keys.find(bearer)
        if self._issuers is None:
            raise InvalidCredentialError("tokens are not taken here")
        return self._issuers.find(bearer)


class RouteRequirement:
    """What a route asks of who sends a request: to be known, one of the `roles`, and all of the `scopes`."""

    name = "identity"

    def __init__(
        self, authenticator: Authenticator, require: Require, roles: tuple[str, ...], scopes: tuple[str, ...]
    ) -> None:
        self._authenticator = authenticator
        self._is_open = require == "anybody"
        self._takes_users = require in ("anybody", "user", "user or key")
        self._takes_keys = require in ("anybody", "key", "user or key")
        self._roles = frozenset(roles)
        self._scopes = frozenset(scopes)
        self._wanted = " ".join(scopes)
        self._asked = "an API key" if require == "key" else "a token" if require == "user" else "a token or an API key"

    def __call__(self, visit: Visit, /) -> Outcome | Awaitable[Outcome]:
        try:
            found = self._authenticator.find(visit.request)
        except (InvalidCredentialError, IssuerAwayError) as error:
            return _unproved(visit, error)
        return self._await(visit, found) if inspect.isawaitable(found) else self._judge(visit, found)

    async def _await(self, visit: Visit, pending: Awaitable[Credential | None]) -> Outcome:
        try:
            found = await pending
        except (InvalidCredentialError, IssuerAwayError) as error:
            return _unproved(visit, error)
        outcome = self._judge(visit, found)
        return await outcome if inspect.isawaitable(outcome) else outcome

    def _judge(self, visit: Visit, found: Credential | None) -> Outcome | Awaitable[Outcome]:
        if found is None:
            return None if self._is_open else self._unknown(visit)
        if not (self._takes_keys if found.key else self._takes_users):
            kind = "an API key" if found.key else "a token"
            return self._forbidden(visit, f"{kind} is not enough here; send {self._asked}")
        visit.request.user = visit.user = found.user
        visit.api_key = found.key
        visit.fields.append(PRIVATE)
        if not self._scopes <= found.scopes:
            error = f'Bearer error="insufficient_scope", scope="{self._wanted}"'
            return self._forbidden(visit, f"this needs the scope {self._wanted}", (CHALLENGE, error.encode()))
        if self._roles and self._roles.isdisjoint(found.user.roles):
            return self._forbidden(visit, "this needs a role that you have not")
        return None

    def _unknown(self, visit: Visit) -> Response | Awaitable[Response]:
        sign_in = self._authenticator.sign_in
        if self._takes_users and sign_in is not None and sign_in.invites(visit.request):
            visit.by = sign_in.name
            return sign_in.send(visit.request)
        visit.by = "credentials"
        detail = f"send {self._asked}, as `Authorization: Bearer …`"
        return refused(401, detail, (CHALLENGE, b"Bearer"), NOT_STORED)

    def _forbidden(self, visit: Visit, detail: str, *fields: tuple[bytes, bytes]) -> Response:
        visit.by = "permission"
        return refused(403, detail, *fields, NOT_STORED)


def _unproved(visit: Visit, error: InvalidCredentialError | IssuerAwayError) -> Response:
    if isinstance(error, IssuerAwayError):
        visit.by = "issuer"
        return refused(503, str(error), (b"retry-after", b"5"), NOT_STORED)
    visit.by, visit.violation = "token", "unauthenticated"
    challenge = f'Bearer error="invalid_token", error_description="{error}"'.encode()
    return refused(401, str(error), (CHALLENGE, challenge), NOT_STORED)
