"""What can be set about the bank."""

from __future__ import annotations

from meristem import Settings


class BankSettings(Settings):
    """Where the bank's web service is, and how many seconds one request to it may take in all."""

    bank_url: str = "app://bank"
    bank_timeout: float = 4.0
