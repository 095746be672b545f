"""What can be set about accounts and sessions."""

from __future__ import annotations

from meristem import Settings


class CustomersSettings(Settings):
    """How long a session lives, what a password's hash costs, and how many wrong passwords are free.

    The costs are what OWASP's Password Storage Cheat Sheet asks of argon2id; `hashing` is how many hashes are computed
    at a time. From the `free_failures`-th wrong password on an account is left alone for 1, 2, 4 … seconds,
    `longest_pause` at most.
    """

    session_days: float = 14.0
    time_cost: int = 2
    memory_kib: int = 19456
    hashing: int = 2
    free_failures: int = 5
    longest_pause: float = 60.0
