"""The tables that say who may come in: issuers of tokens, API keys, and what a route asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from meristem.gateway.identity.issuer_urls import wrong_issuer_url
from meristem.gateway.identity.token_claims import ClaimPaths
from meristem.quantities import TimeText, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Algorithm: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?:[RPEH]S(?:256|384|512)|EdDSA|Ed25519)$(?!\n)",
        description="RS256, PS256, ES256 and HS256, or with 384 and 512, EdDSA and Ed25519",
    ),
]
Require: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(?:anybody|user|key|user or key)$(?!\n)", description='"anybody", "user", "key" or "user or key"'),
]
Word: TypeAlias = Annotated[
    str, Meta(pattern=r"^[!#-\[\]-~]+$(?!\n)", description="visible ASCII without spaces, quotes and backslashes")
]
OwnPath: TypeAlias = Annotated[
    str, Meta(pattern=r"^(?:/[A-Za-z0-9._~-]+)+$(?!\n)", description="a path of letters, digits, and -._~")
]
AFTER: Final = re.compile(r"(?:https?:/)?/(?:[^/\\\s][^\\\s]*)?|")
MINUTE: Final = 60.0
MONTH: Final = 30 * 86400.0
MOST_LEEWAY: Final = 300.0  # seconds


class IssuerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens count: those that say `iss` and `aud` so, signed by a key at `jwks` or by a secret that is set.

    Without `jwks` the issuer tells where its keys are (OpenID Connect Discovery). Where there are several issuers, all
    but one have a `subject_prefix`: each may name its subjects as it likes, and so like those of another.
    """

    issuer: str
    audience: str | tuple[str, ...]
    jwks: str = ""
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
    leeway: TimeText = "30s"
    claims: ClaimPaths = ClaimPaths()
    subject_prefix: str = ""

    @property
    def is_symmetric(self) -> bool:
        """Whether its tokens are signed by a secret that this system has, too."""
        return any(each.startswith("HS") for each in self.algorithms)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences of which a token has to name one."""
        return (self.audience,) if isinstance(self.audience, str) else self.audience

    def problem(self) -> str | None:
        """What cannot be meant."""
        return self._unsound_algorithms() or self._unsound_claims() or self._unsound_urls()

    def _unsound_algorithms(self) -> str | None:
        if not self.algorithms:
            return "algorithms: name at least one"
        if self.is_symmetric and not all(each.startswith("HS") for each in self.algorithms):
            return "algorithms: HS… takes a secret and the others public keys, so one issuer has one or the other"
        if self.is_symmetric and self.jwks:
            return "jwks: who could read such keys could sign; with HS… the secret is a setting"
        return None

    def _unsound_claims(self) -> str | None:
        if not self.audiences or not all(self.audiences):
            return "audience: name what its tokens for this system say as aud"
        if not self.issuer:
            return "issuer: name what its tokens say as iss"
        if not self.claims.subject:
            return "claims: subject: name the claim that tells who it is, such as sub"
        if seconds_of(self.leeway) > MOST_LEEWAY:
            return f"leeway: clocks that differ by more than {MOST_LEEWAY:g} s have to be set"
        return None

    def _unsound_urls(self) -> str | None:
        """Which of the URLs that are asked may not be; the issuer's own is one where it tells of its keys."""
        asked = {} if self.is_symmetric else {"jwks": self.jwks} if self.jwks else {"issuer": self.issuer}
        for key, url in asked.items():
            if (why := wrong_issuer_url(url)) is not None:
                return f"{key}: {url} {why}"
        return None


class SignInTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where people sign in: at the OpenID Connect provider `issuer`, of which this system is the client `client_id`.

    They come back by way of the path `callback`, and sign out at `sign_out`; then they are sent to `after_sign_out`, a
    path or a URL that the provider knows. A session counts for its `lifetime`.
    """

    issuer: str
    client_id: str
    scopes: tuple[Word, ...] = ("openid", "profile")
    callback: OwnPath = "/auth/callback"
    sign_out: OwnPath = "/auth/sign-out"
    after_sign_out: str = ""
    lifetime: TimeText = "8h"
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
    claims: ClaimPaths = ClaimPaths()
    subject_prefix: str = ""

    def problem(self) -> str | None:
        """What cannot be meant."""
        if (why := wrong_issuer_url(self.issuer)) is not None:
            return f"issuer: {self.issuer} {why}"
        wrong = {
            "client_id: name what this system is called at the provider": not self.client_id,
            'scopes: without "openid" the provider does not tell who somebody is': "openid" not in self.scopes,
            "algorithms: name at least one, with public keys": not self.algorithms
            or any(each.startswith("HS") for each in self.algorithms),
            "sign_out: is the same path as callback": self.callback == self.sign_out,
            "after_sign_out: is neither a path, such as /, nor a URL": AFTER.fullmatch(self.after_sign_out) is None,
            "lifetime: is between 1min and 30d": not MINUTE <= seconds_of(self.lifetime) <= MONTH,
        }
        return next((text for text, is_wrong in wrong.items() if is_wrong), None)


class KeysTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where API keys are: a `file` that `meristem keys` writes, which several hosts may mount; else in the state."""

    file: str = ""


def issuers_problem(issuers: Mapping[str, IssuerTable], sign_in: SignInTable | None = None) -> str | None:
    """What cannot be meant of the issuers, each by itself and all together, with who signs people in."""
    urls: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for name, each in issuers.items():
        where = f"[gateway.issuers.{name}]"
        if (problem := each.problem()) is not None:
            return f"{where}: {problem}"
        if (other := urls.setdefault(each.issuer, name)) != name:
            return f"{where}: issuer: that of [gateway.issuers.{other}]; put both into one, with both audiences"
        if (other := prefixes.setdefault(each.subject_prefix, name)) != name:
            return (
                f"{where}: subject_prefix: [gateway.issuers.{other}] has the same one, so each could name the users of "
                'the other; give it one of its own, such as "partner:"'
            )
    return None if sign_in is None else _sign_in_problem(issuers, sign_in)


def _sign_in_problem(issuers: Mapping[str, IssuerTable], sign_in: SignInTable) -> str | None:
    if (problem := sign_in.problem()) is not None:
        return f"[gateway.sign_in]: {problem}"
    for name, each in issuers.items():
        if (each.issuer == sign_in.issuer) != (each.subject_prefix == sign_in.subject_prefix):
            return (
                f"[gateway.sign_in]: subject_prefix: is that of [gateway.issuers.{name}] if it is the same issuer, so "
                "that its users are the same, and else another one"
            )
    return None


def requirement_problem(
    require: Require | None, roles: tuple[str, ...], scopes: tuple[str, ...], *, users: bool, keys: bool
) -> str | None:
    """What a route can't ask for; `users` and `keys` say whether anything tells who they are."""
    if require is None:
        key = "roles" if roles else "scopes"
        return f'{key}: say who is meant, by require = "user", "key" or "user or key"' if roles or scopes else None
    if require == "anybody" and (roles or scopes):
        return 'require: "anybody" has neither roles nor scopes; write "user", "key" or "user or key"'
    if "user" in require and not users:
        return "require: nothing tells who a user is; write [gateway.issuers.NAME] or [gateway.sign_in]"
    if "key" in require and not keys:
        return "require: there are no keys; write [gateway.keys]"
    if require == "anybody" and not (users or keys):
        return (
            "require: nothing tells who anybody is; write [gateway.issuers.NAME], [gateway.keys] or [gateway.sign_in]"
        )
    return None
