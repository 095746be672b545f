"""Signing in at an OpenID Connect provider: the authorization code flow with PKCE (OIDC Core 1.0, 3.1; RFC 7636)."""

from __future__ import annotations

import hmac
import inspect
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlencode

import msgspec

from meristem.gateway.identity.credential import InvalidCredentialError, IssuerAwayError
from meristem.gateway.identity.fetching import FetchError
from meristem.gateway.identity.token_claims import SignedToken, read_token, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.gateway.identity.credential import Credential
    from meristem.gateway.identity.fetching import Fetch
    from meristem.gateway.identity.issuer_keys import IssuerKeys, ProviderMetadata
    from meristem.gateway.identity.token_issuer import TokenIssuer

PATIENCE: Final = 600.0  # seconds for somebody to sign in


class SigningIn(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who is on the way to the provider and back: what only their browser and this system know.

    `state` ties the answer to the browser that asked, `nonce` the token to it, `verifier` the code to this system.
    """

    state: str
    nonce: str
    verifier: str
    back: str
    callback: str
    expires: int

    @staticmethod
    def begin(back: str, callback: str) -> SigningIn:
        """A new one, who comes back to the path `back`, by way of the URL `callback`."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return SigningIn(state, nonce, verifier, back, callback, int(time.time() + PATIENCE))


class _Answered(msgspec.Struct):
    """What of the answer to a code matters (OIDC Core, 3.1.3.3)."""

    id_token: str


class CodeFlow:
    """The flow of one client at one provider."""

    def __init__(
        self,
        client_id: str,
        secret: str,
        scopes: tuple[str, ...],
        keys: IssuerKeys,
        issuer: TokenIssuer,
        fetch: Fetch,
    ) -> None:
        self._client_id = client_id
        self._secret = secret
        self._scope = " ".join(scopes)
        self._keys = keys
        self._issuer = issuer
        self._fetch = fetch

    @property
    def is_known(self) -> bool:
        """Whether the provider has been reached: what it says of itself stays while it is away."""
        return self._keys.metadata is not None

    async def reach(self) -> None:
        """Ask the provider about itself, unless that was done just now; raises IssuerAwayError."""
        await self._keys.read_again()
        if not self.is_known:
            raise IssuerAwayError("the provider at which people sign in can't be reached")

    def start(self, signing_in: SigningIn) -> str:
        """Where somebody signs in."""
        challenge = urlsafe_b64encode(sha256(signing_in.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": signing_in.callback,
            "scope": self._scope,
            "state": signing_in.state,
            "nonce": signing_in.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(self._metadata.authorization_endpoint, asked)

    def end(self, after: str) -> str | None:
        """Where somebody signs out at the provider, too; None where it has no such place."""
        endpoint = self._metadata.end_session_endpoint if self.is_known else ""
        asked = {"client_id": self._client_id} | ({"post_logout_redirect_uri": after} if after else {})
        return _with_query(endpoint, asked) if endpoint else None

    async def finish(self, signing_in: SigningIn, answer: Mapping[str, str]) -> Credential:
        """Who has signed in, as the provider says; raises InvalidCredentialError, IssuerAwayError or FetchError."""
        metadata = self._metadata
        if not hmac.compare_digest(answer.get("state", "").encode(), signing_in.state.encode()):
            raise InvalidCredentialError("this sign-in was begun in another browser")
        issuer = answer.get("iss")  # RFC 9207: an answer of another provider, to which a code of ours must not go
        if issuer != metadata.issuer and (
            issuer is not None or metadata.authorization_response_iss_parameter_supported
        ):
            raise InvalidCredentialError("the answer is of another provider")
        if "error" in answer:
            raise InvalidCredentialError("the provider did not let you sign in")
        if not (code := answer.get("code")):
            raise InvalidCredentialError("the answer of the provider has no code")
        return await self._verify(await self._redeem(code, signing_in), signing_in)

    @property
    def _metadata(self) -> ProviderMetadata:
        found = self._keys.metadata
        if found is None:
            raise IssuerAwayError("the provider at which people sign in can't be reached")
        return found

    async def _redeem(self, code: str, signing_in: SigningIn) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": signing_in.callback,
            "code_verifier": signing_in.verifier,
        }
        fields = {}
        if self._secret:  # RFC 6749, section 2.3.1
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            fields["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client_id
        body = await self._fetch(self._metadata.token_endpoint, form, fields)
        try:
            return msgspec.json.decode(body, type=_Answered).id_token
        except msgspec.DecodeError:
            raise FetchError("its answer to a code has no id_token; do the scopes name openid?") from None

    async def _verify(self, id_token: str, signing_in: SigningIn) -> Credential:
        """Whose an ID token is (OIDC Core, 3.1.3.7)."""
        signed: SignedToken = read_token(id_token)
        if not hmac.compare_digest(text_of(signed.claims, "nonce").encode(), signing_in.nonce.encode()):
            raise InvalidCredentialError("the token of the provider is that of another sign-in")
        audience = signed.claims.get("aud")
        names_client = (isinstance(audience, list) and len(audience) > 1) or "azp" in signed.claims
        if names_client and text_of(signed.claims, "azp") != self._client_id:
            raise InvalidCredentialError("the token of the provider is for another client")
        found = self._issuer.verify(signed, time.time())
        credential, _ = await found if inspect.isawaitable(found) else found
        return credential


def _with_query(url: str, asked: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"
