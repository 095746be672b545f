"""Orders a certificate where there is none, and anew in time: seldom, one replica for all, whatever restarts."""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec.structs import replace

from meristem.backoff import HALF, wait_after
from meristem.failure_log import log_failure
from meristem.gateway.certificate_folder import OrderHistory
from meristem.gateway.order_failure import OrderFailureError
from meristem.transports.http.server.certificate_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.gateway.certificate_folder import CertificateFolder

logger = logging.getLogger(__name__)
Told = TypeVar("Told")
LOOKED_AFTER: Final = 5.0  # seconds
RENEWED_AT: Final = 2 / 3  # of the time that a certificate holds
SPREAD: Final = 1 / 30  # of that time, so that not all that were issued together are ordered together
ASKED_AFTER: Final = 6 * 3600.0  # until an authority is asked again when it would renew (RFC 9773, 4.3)
AWAY: Final = (30.0, 3600.0)  # seconds of the first wait and of the longest, where no authority answers
REFUSED: Final = (300.0, 12 * 3600.0)  # authorities take five failed proofs of a host in an hour
LIMITED: Final = (3600.0, 24 * 3600.0)
LONGEST: Final = 600.0  # seconds after which an attempt is under way no more
BROKEN_OFF: Final = "the attempt broke off, for its process ended"


class Orders(Protocol):
    """What orders from an authority; it blocks, and raises OrderFailureError."""

    def order(self, hosts: Sequence[str]) -> bytes: ...

    def suggested(self, certificate: bytes) -> float | None: ...


class CertificateRenewal:
    """Sees in a thread of its own that a folder has a certificate for `hosts` from the authority at `directory`.

    `orders` makes what orders; it is first asked for when something is to be ordered. The lock of the folder has one
    process at a time order, and what became of each attempt is noted before and after it: so neither replicas nor
    restarts make attempts more frequent.
    """

    def __init__(
        self,
        folder: CertificateFolder,
        directory: str,
        hosts: tuple[str, ...],
        orders: Callable[[], Orders],
        *,
        now: Callable[[], float] = time.time,
        look: float = LOOKED_AFTER,
        longest: float = LONGEST,
    ) -> None:
        self._folder = folder
        self._directory = directory
        self._hosts = hosts
        self._orders = orders
        self._now = now
        self._look = look
        self._longest = longest
        self._is_over = threading.Event()

    async def start(self) -> None:
        # A daemon: an authority that takes its time keeps no process from ending.
        threading.Thread(target=self._run, name="certificate", daemon=True).start()

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        self._is_over.set()

    @property
    def history(self) -> OrderHistory:
        """What became of attempts for these hosts; failures for others count no more."""
        found = self._folder.history()
        if (found.directory, found.hosts) == (self._directory, self._hosts):
            return _ended(found) if self._now() > found.began_at + self._longest else found
        return replace(
            found,
            directory=self._directory,
            hosts=self._hosts,
            failures=0,
            failure="",
            failed_at=0.0,
            next_at=0.0,
            began_at=0.0,
        )

    def step(self) -> None:
        """Order if it is time to, and no other process does."""
        if self._next(self.history) > self._now():
            return
        with self._folder.alone() as is_alone:
            history = self.history  # another may have ordered since
            if is_alone and self._next(history) <= self._now():
                self._attempt(history)

    def _run(self) -> None:
        while True:
            try:
                self.step()
            except Exception as error:
                log_failure(logger, error, "[gateway.tls.acme]: an attempt failed")
            if self._is_over.wait(self._look):
                return

    def _next(self, history: OrderHistory) -> float:
        """When something is to be done."""
        wanted = min(history.renew_at, history.ask_at) if self._is_certified(history) else 0.0
        return max(wanted, history.next_at)

    def _is_certified(self, history: OrderHistory) -> bool:
        is_ours = (history.issued_by, history.certified) == (self._directory, self._hosts)
        return is_ours and self._folder.certificate.exists()

    def _attempt(self, history: OrderHistory) -> None:
        if self._is_certified(history) and history.renew_at > self._now():
            history = self._asked(history)
            if history.renew_at > self._now():
                return
        history = _ended(history)  # nobody else has the lock
        # Noted before: a process that is killed meanwhile, and started again, does not try again at once.
        failing = self._failed(history, OrderFailureError(BROKEN_OFF))
        self._folder.keep_history(replace(history, next_at=failing.next_at, began_at=self._now()))
        try:
            pem = self._in_time(lambda: self._orders().order(self._hosts))
            facts = facts_of(pem.decode("latin-1"))
        except OrderFailureError as error:
            failing = self._failed(history, error)
            self._folder.keep_history(failing)
            logger.warning(
                "[gateway.tls.acme]: no certificate for %s: %s; it is tried again at %s",
                ", ".join(self._hosts), error, _shown(failing.next_at),
            )  # fmt: skip
            return
        lifetime = facts.until - facts.since
        renewed = facts.since + lifetime * (RENEWED_AT - random.uniform(0, SPREAD))  # noqa: S311 - no secret
        self._folder.keep_certificate(pem)
        self._folder.keep_history(
            OrderHistory(
                directory=self._directory,
                hosts=self._hosts,
                issued_by=self._directory,
                certified=self._hosts,
                renew_at=renewed,
                ask_at=self._now() + ASKED_AFTER,
            )
        )
        logger.info(
            "[gateway.tls.acme]: a certificate for %s holds until %s, and is renewed from %s on",
            ", ".join(self._hosts), _shown(facts.until), _shown(renewed),
        )  # fmt: skip

    def _asked(self, history: OrderHistory) -> OrderHistory:
        """With what the authority suggests of renewal; one that can't be asked is asked later."""
        # Noted before, as above.
        history = replace(history, ask_at=self._now() + ASKED_AFTER)
        self._folder.keep_history(history)
        try:
            wanted = self._in_time(lambda: self._orders().suggested(self._folder.certificate.read_bytes()))
        except OrderFailureError as error:
            logger.info("[gateway.tls.acme]: when to renew could not be asked: %s", error)
            return history
        if wanted is not None and wanted < history.renew_at:
            logger.info("[gateway.tls.acme]: the authority asks for a renewal at %s", _shown(wanted))
            history = replace(history, renew_at=wanted)
            self._folder.keep_history(history)
        return history

    def _in_time(self, ask: Callable[[], Told]) -> Told:
        """What an authority says: one that sends a byte now and then must not keep the lock for ever.

        Whoever asks it is left alone then, in a thread that keeps no process from ending.
        """
        said: Future[Told] = Future()

        def run() -> None:
            try:
                said.set_result(ask())
            except BaseException as error:  # it is raised where somebody waits
                said.set_exception(error)

        threading.Thread(target=run, name="certificate authority", daemon=True).start()
        try:
            return said.result(self._longest)
        except TimeoutError:
            if said.done():
                raise
            text = f"{self._directory} has not answered to the end within {self._longest:g} s"
            raise OrderFailureError(text, is_away=True) from None

    def _failed(self, history: OrderHistory, error: OrderFailureError) -> OrderHistory:
        failures = history.failures + 1
        base, cap = AWAY if error.is_away else LIMITED if error.is_limited else REFUSED
        wait = wait_after(failures, base, cap, HALF)
        now = self._now()
        return replace(history, failures=failures, failure=str(error), failed_at=now, next_at=now + wait)


def _ended(history: OrderHistory) -> OrderHistory:
    """The history in which an attempt that has not ended counts as one that failed."""
    if not history.began_at:
        return history
    return replace(history, failures=history.failures + 1, failure=BROKEN_OFF, failed_at=history.began_at, began_at=0.0)


def _shown(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
