"""What is kept of a certificate by ACME: the account, the certificate, how attempts went, and proofs for challenges.

All replicas of an edge on one host share the folder, so each answers whatever one of them has asked for.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from meristem.private_files import locked_if_free, make_folder, replace_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

logger = logging.getLogger(__name__)
Told = TypeVar("Told")
NAME: Final = "acme"  # in the folder of the system
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,512}")  # base64url (RFC 8555, 8.3)


class AcmeAccount(msgspec.Struct, frozen=True):
    """An account at an authority: its key as a JWK, and its URL once the authority has told it."""

    directory: str
    key: str
    url: str = ""


class OrderHistory(msgspec.Struct, frozen=True):
    """What became of attempts to have a certificate for `hosts` issued by the authority at `directory`.

    `certified` are the hosts of the certificate that is there, from the authority at `issued_by`, which is ordered
    anew from `renew_at` on; what the authority suggests of that is asked again from `ask_at` on. After `failures` in a
    row, of which `failure` was the last, nothing is tried before `next_at`. An attempt that has not ended began at
    `began_at`. Times are seconds since 1970.
    """

    directory: str = ""
    hosts: tuple[str, ...] = ()
    issued_by: str = ""
    certified: tuple[str, ...] = ()
    renew_at: float = 0.0
    ask_at: float = 0.0
    failures: int = 0
    failure: str = ""
    failed_at: float = 0.0
    next_at: float = 0.0
    began_at: float = 0.0


class CertificateFolder:
    """The folder, for the user alone who runs the system."""

    def __init__(self, state: Path) -> None:
        self.path = state / NAME
        self.certificate = self.path / "certificate.pem"
        self._account = self.path / "account.json"
        self._history = self.path / "orders.json"
        self._challenges = self.path / "challenges"

    def prepare(self) -> None:
        """Make the folder."""
        make_folder(self._challenges)

    def alone(self) -> AbstractContextManager[bool]:
        """Be the only one of this host who orders; False where another does."""
        return locked_if_free(self._history)

    def account(self) -> AcmeAccount | None:
        """The account; None where none has been made."""
        return self._read(self._account, AcmeAccount)

    def keep_account(self, account: AcmeAccount) -> None:
        replace_file(self._account, msgspec.json.encode(account), durable=True)

    def forget_account(self) -> None:
        self._account.unlink(missing_ok=True)

    def history(self) -> OrderHistory:
        """How attempts went until now."""
        return self._read(self._history, OrderHistory) or OrderHistory()

    def keep_history(self, history: OrderHistory) -> None:
        replace_file(self._history, msgspec.json.encode(history), durable=True)

    def keep_certificate(self, pem: bytes) -> None:
        """Put a certificate, its chain and its key into their one file, so that nobody reads one without the other."""
        replace_file(self.certificate, pem, durable=True)

    def publish(self, token: str, proof: str) -> None:
        """Have all replicas answer a challenge."""
        if TOKEN.fullmatch(token) is None:
            raise ValueError(f"{token!r} is no token of a challenge")
        replace_file(self._challenges / token, proof.encode())

    def withdraw_all(self) -> None:
        """No challenge is open any more."""
        shutil.rmtree(self._challenges, ignore_errors=True)
        make_folder(self._challenges)

    def proof(self, token: str) -> bytes | None:
        """What proves that the challenge has got here; None for one that nobody has asked for."""
        if TOKEN.fullmatch(token) is None:
            return None
        with contextlib.suppress(OSError):
            return (self._challenges / token).read_bytes()
        return None

    def _read(self, path: Path, type_: type[Told]) -> Told | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=type_)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("%s cannot be read, and counts as empty: %s", path, error)
            return None
