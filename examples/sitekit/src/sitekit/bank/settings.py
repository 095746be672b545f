"""What can be set about the bank."""

from __future__ import annotations

from meristem import Settings


class BankSettings(Settings):
    """Where the bank's web service is, and how many seconds one request to it may take in all.

    Shorter than the bank's own patience, so that a caller has time to ask again, under the same key, what became of it.
    """

    bank_url: str = "app://bank"
    bank_timeout: float = 4.0
