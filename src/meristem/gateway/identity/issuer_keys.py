"""The public keys of an issuer: read in the background, again now and then, and when a token names one not known."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.gateway.identity.fetching import FetchError
from meristem.gateway.identity.issuer_urls import wrong_issuer_url
from meristem.gateway.identity.signatures import candidates, public_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.gateway.identity.fetching import Fetch
    from meristem.gateway.identity.signatures import PublicKey

logger = logging.getLogger(__name__)
REFRESHED: Final = 600.0  # seconds after which the keys are read again: one that was withdrawn counts no longer
APART: Final = (
    5.0  # seconds between two readings, whatever is asked: tokens that name unknown keys cost the issuer nothing
)
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
DISCOVERY: Final = "/.well-known/openid-configuration"


class ProviderMetadata(msgspec.Struct):
    """What an issuer says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    end_session_endpoint: str = ""
    authorization_response_iss_parameter_supported: bool = False


async def discover(fetch: Fetch, issuer: str) -> ProviderMetadata:
    """What an issuer says of itself; raises FetchError, also where it says that it is another."""
    body = await fetch(issuer.rstrip("/") + DISCOVERY)
    try:
        found = msgspec.json.decode(body, type=ProviderMetadata)
    except msgspec.DecodeError as error:
        raise FetchError(f"its {DISCOVERY} can't be read: {error}") from None
    if found.issuer != issuer:
        raise FetchError(f"it says that it is {found.issuer!r}, which has to be the same to the letter")
    urls = (found.jwks_uri, found.authorization_endpoint, found.token_endpoint, found.end_session_endpoint)
    if wrong := next((why for each in urls if each and (why := wrong_issuer_url(each))), None):
        raise FetchError(f"a URL that it names {wrong}")
    return found


class IssuerKeys:
    """The keys at `jwks`, or where the issuer says that they are; what was read stays while the issuer is away.

    Between `start` and `stop` they are read in the background. `changed` is called when a key is there no longer.
    """

    def __init__(
        self,
        name: str,
        issuer: str,
        jwks: str,
        fetch: Fetch,
        *,
        changed: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._issuer = issuer
        self._jwks = jwks
        self._fetch = fetch
        self._changed = changed
        self._now = now
        self.metadata: ProviderMetadata | None = None  # what it last said of itself, where it was asked
        self._keys: list[PublicKey] = []
        self._asked: float | None = None
        self._reading: asyncio.Task[bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_away = False

    @property
    def are_known(self) -> bool:
        """Whether any have been read."""
        return bool(self._keys)

    def find(self, kid: str, algorithm: str) -> list[PublicKey]:
        """The keys by which a token that names `kid` may be signed."""
        return candidates(self._keys, kid, algorithm)

    @property
    def may_be_read(self) -> bool:
        """Whether reading them again could tell of a key that is not known: one reading is awaited by all who ask."""
        return self._reading is not None or self._asked is None or self._now() - self._asked >= APART

    async def read_again(self) -> None:
        """Read them, unless that was done just now."""
        if self._reading is None:
            if not self.may_be_read:
                return
            self._begin()
        assert self._reading is not None
        await asyncio.shield(self._reading)  # who leaves does not end it for the others

    async def start(self) -> None:
        """Begin to read; nothing waits for it, for an issuer that is away keeps nothing but its tokens out."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"keys of {self._name}")

    async def drain(self) -> None:
        """They are needed to the end."""

    async def stop(self) -> None:
        """Read no more."""
        tasks = [each for each in (self._task, self._reading) if each is not None]
        self._task = self._reading = None
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            if self._reading is None:
                self._begin()
            assert self._reading is not None
            if await asyncio.shield(self._reading):
                pause = FIRST_PAUSE
                await asyncio.sleep(REFRESHED)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _begin(self) -> None:
        self._asked = self._now()
        self._reading = asyncio.get_running_loop().create_task(self._read(), name=f"reading the keys of {self._name}")

    async def _read(self) -> bool:
        try:
            url = self._jwks
            if not url:
                self.metadata = await discover(self._fetch, self._issuer)
                url = self.metadata.jwks_uri
            keys = public_keys(await self._fetch(url))
        except (FetchError, ValueError, msgspec.DecodeError) as error:
            self._told_away(str(error))
            return False
        finally:
            self._reading = None
        gone = {_mark(each) for each in self._keys} - {_mark(each) for each in keys}
        self._keys = keys
        if gone:
            self._changed()
        if self._is_away:
            logger.info("the keys of the issuer %s are read again", self._name)
        self._is_away = False
        return True

    def _told_away(self, why: str) -> None:
        """Log it once, until the issuer is there again."""
        if self._is_away:
            return
        self._is_away = True
        goes_on = "those that were read before count on" if self._keys else "until then its tokens are answered 503"
        logger.warning("the keys of the issuer %s (%s) can't be read: %s; %s", self._name, self._issuer, why, goes_on)


def _mark(key: PublicKey) -> str:
    thumbprint: str = key.key.thumbprint()
    return thumbprint
