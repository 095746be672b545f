"""Addresses that are known from the start: from the supervisor or from variables."""

from __future__ import annotations

from meristem.discovery.resolver import Directory


class StaticResolver(Directory):
    """Gives the addresses it was made with; `put` changes them while the process runs."""

    async def start(self) -> None:
        """Everything is known already."""

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        """Nothing is held."""
