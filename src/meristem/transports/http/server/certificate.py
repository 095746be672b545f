"""The certificate of a server's public addresses: read from files, and read again when these have changed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import ConfigurationError
from meristem.followed_files import FollowedFiles
from meristem.transports.http.server.certificate_facts import CertificateFacts, facts_of

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)
LOOKED_AFTER: Final = 5.0  # seconds
AWAITED_AFTER: Final = 0.5  # seconds, while there is none: nobody is served


class CertificateFiles:
    """A certificate and its key in two files of PEM, or in one; `context` is that of a server with them.

    Each connection is shown what was read last: connections that are open go on with theirs. Raises
    ConfigurationError where the files are no certificate with its key; later ones that are none are told in the log,
    and the last good ones stay. One that is `awaited` need not be there yet: until it is, no connection comes about.
    """

    def __init__(self, certificate: Path, key: Path, *, where: str, awaited: bool = False) -> None:
        self._certificate = certificate
        self._key = key
        self._where = where
        self._files = FollowedFiles(certificate, key)
        self._files.settle()
        self.facts: CertificateFacts | None = None
        self._current: ssl.SSLContext | None = None
        self.context = _server_context()
        # Always asked, also by who names no host: so the files are exchanged as a whole.
        self.context.sni_callback = self._show
        self._timer: asyncio.TimerHandle | None = None
        if awaited and not certificate.exists():
            logger.info("%s: there is no certificate yet; until then no connection comes about by TLS", where)
            return
        try:
            self._read()
        except ConfigurationError as error:
            if not awaited:
                raise
            logger.warning("%s; no connection comes about until there is one", error)

    async def start(self) -> None:
        self._look_later()

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> bool:
        """Read the files again if they have changed; whether others are shown now."""
        if not self._files.have_changed():  # told once; who exchanges one file after the other changes them again
            return False
        try:
            self._read()
        except ConfigurationError as error:
            still = "the certificate from before is still shown" if self._current else "there is none yet"
            logger.warning("%s; %s", error, still)
            return False
        logger.info("%s: a new certificate is shown from now on", self._where)
        return True

    def _look_later(self) -> None:
        def again() -> None:
            self.look()
            self._look_later()

        after = AWAITED_AFTER if self._current is None else LOOKED_AFTER
        self._timer = asyncio.get_running_loop().call_later(after, again)

    def _show(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def _read(self) -> None:
        context = _server_context()
        try:
            # An empty password: nobody is there to be asked for one.
            context.load_cert_chain(self._certificate, self._key, password="")
            facts = facts_of(self._certificate.read_text("latin-1"))
        except (OSError, ValueError) as error:  # SSLError is an OSError
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            if why == "KEY_VALUES_MISMATCH":
                why = "they do not belong together"
            raise ConfigurationError(
                f"{self._where}: {self._certificate} and {self._key} are no certificate with its key: {why}"
            ) from None
        self._current, self.facts = context, facts


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
