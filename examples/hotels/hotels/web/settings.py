"""What the web app is told by its environment, and the secret that signs its cookies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sitekit.pages.secret import kept_secret


@dataclass(frozen=True)
class WebSettings:
    """`secret` signs cookies; when it is empty, one is made and kept in `secret_file`.

    `demonstration` shows the test cards and links to the development mailbox and the test bank.
    `proxies` is how many proxies of ours each request has passed: what they say of a visitor's address is believed.
    """

    secret: str = ""
    secret_file: Path = Path(".meristem/web.secret")
    demonstration: bool = True
    proxies: int = 0

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> "WebSettings":
        """Read `HOTELS_WEB_SECRET` and `HOTELS_WEB_DEMONSTRATION` (on unless it is 0) and `HOTELS_WEB_PROXIES`."""
        return WebSettings(
            secret=environment.get("HOTELS_WEB_SECRET", ""),
            demonstration=environment.get("HOTELS_WEB_DEMONSTRATION", "1") != "0",
            proxies=int(environment.get("HOTELS_WEB_PROXIES", "0")),
        )

    def signing_secret(self) -> str:
        """The secret given, or the one kept on disk, which only its owner can read."""
        return self.secret or kept_secret(self.secret_file)
