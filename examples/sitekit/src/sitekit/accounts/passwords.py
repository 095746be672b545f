"""Passwords and their hashes: argon2id on threads of its own, so many at a time and no more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from sitekit.accounts.settings import PasswordSettings

T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords without holding the event loop."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.time_cost, memory_cost=settings.memory_kib, parallelism=settings.lanes
        )
        self._width = settings.hashing
        self._threads: ThreadPoolExecutor | None = None
        self._nobodys = ""

    async def start(self) -> None:
        self._threads = ThreadPoolExecutor(self._width, "passwords")

    async def stop(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None

    async def hash(self, password: str) -> str:
        """The text to keep: parameters, salt and hash."""
        return await self._run(lambda: self._hasher.hash(password))

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Whether the password belongs to the hash; without one (no such account) it takes as long and says no."""
        if kept is None:
            self._nobodys = self._nobodys or await self.hash(secrets.token_hex())
        right = await self._run(lambda: self._verify(kept or self._nobodys, password))
        return right and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than those in force."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
