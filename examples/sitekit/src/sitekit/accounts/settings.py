"""What can be set about passwords, and about who guesses them; each service that asks has it under its own name."""

from __future__ import annotations

from meristem import Settings


class PasswordSettings(Settings):
    """What a password's hash costs.

    The defaults are what OWASP's Password Storage Cheat Sheet asks of argon2id; RFC 9106's 64 MiB cost seven times as
    much and let a rush of new guests wait for one another. `hashing` is how many hashes are computed at a time; each
    takes `memory_kib` and about 30 ms of a core.
    """

    time_cost: int = 2
    memory_kib: int = 19456
    lanes: int = 1
    hashing: int = 2


class ThrottleSettings(Settings):
    """How many wrong passwords are free, and what the others cost.

    From the `free_failures`-th wrong password on an account is left alone for 1, 2, 4 … seconds, `longest_pause` at
    most; after `failures_kept` seconds without one they are forgotten.
    """

    free_failures: int = 5
    longest_pause: float = 60.0
    failures_kept: float = 3600.0
