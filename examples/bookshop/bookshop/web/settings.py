"""What the web app is told by its environment, and the secret that signs its cookies."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OWNER = "owner@books.example"


@dataclass(frozen=True)
class WebSettings:
    """`secret` signs cookies; when it is empty, one is made and kept in `secret_file`.

    `demonstration` shows the test cards and links to the development mailbox and the test bank. `owners` are the
    e-mail addresses of the customers who may read the report. Open an account before you name it: whoever opens one
    with such an address reads it. `patience` is how many seconds a page waits at most for a part that it can do
    without.
    """

    secret: str = ""
    secret_file: Path = Path(".meristem/web.secret")
    demonstration: bool = True
    owners: frozenset[str] = frozenset()
    patience: float = 1.0

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> WebSettings:
        """Read `BOOKSHOP_WEB_SECRET`, `…_DEMONSTRATION` (on unless it is 0), `…_OWNERS` and `…_PATIENCE`.

        The owners are parted by commas; a demonstration has one of its own.
        """
        demonstration = environment.get("BOOKSHOP_WEB_DEMONSTRATION", "1") != "0"
        owners = environment.get("BOOKSHOP_WEB_OWNERS", OWNER if demonstration else "")
        return WebSettings(
            secret=environment.get("BOOKSHOP_WEB_SECRET", ""),
            demonstration=demonstration,
            owners=frozenset(each.strip().lower() for each in owners.split(",") if each.strip()),
            patience=float(environment.get("BOOKSHOP_WEB_PATIENCE", "1")),
        )

    def signing_secret(self) -> str:
        """The secret given, or the one kept on disk, which only its owner can read."""
        return self.secret or _kept(self.secret_file)


def _kept(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(fresh, path)  # fails if there is one already: replicas that start together agree on the first
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text()
