"""What the web app is told by its environment, and the secret that signs its cookies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sitekit.pages.secret import kept_secret

OWNER = "owner@books.example"


@dataclass(frozen=True)
class WebSettings:
    """`secret` signs cookies; when it is empty, one is made and kept in `secret_file`.

    `demonstration` shows the test cards and links to the development mailbox and the test bank. `owners` are the
    e-mail addresses of the customers who may read the report. Open an account before you name it: whoever opens one
    with such an address reads it. `patience` is how many seconds a page waits at most for a part that it can do
    without, `proxies` how many proxies of ours each request has passed: what they say of a visitor's address is
    believed.
    """

    secret: str = ""
    secret_file: Path = Path(".meristem/web.secret")
    demonstration: bool = True
    owners: frozenset[str] = frozenset()
    patience: float = 1.0
    proxies: int = 0

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> WebSettings:
        """Read `BOOKSHOP_WEB_SECRET`, `…_DEMONSTRATION` (on unless it is 0), `…_OWNERS`, `…_PATIENCE`, `…_PROXIES`.

        The owners are parted by commas; a demonstration has one of its own.
        """
        demonstration = environment.get("BOOKSHOP_WEB_DEMONSTRATION", "1") != "0"
        owners = environment.get("BOOKSHOP_WEB_OWNERS", OWNER if demonstration else "")
        return WebSettings(
            secret=environment.get("BOOKSHOP_WEB_SECRET", ""),
            demonstration=demonstration,
            owners=frozenset(each.strip().lower() for each in owners.split(",") if each.strip()),
            patience=float(environment.get("BOOKSHOP_WEB_PATIENCE", "1")),
            proxies=int(environment.get("BOOKSHOP_WEB_PROXIES", "0")),
        )

    def signing_secret(self) -> str:
        """The secret given, or the one kept on disk, which only its owner can read."""
        return self.secret or kept_secret(self.secret_file)
