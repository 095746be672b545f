"""Answers `Events` for a whole system: each process is asked of its own services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.contract import operations
from meristem.operators.event_contract import Events
from meristem.operators.event_merging import merged_changes, merged_overviews, merged_pages

if TYPE_CHECKING:
    from meristem.operators.asking import Answers, Asking
    from meristem.operators.event_contract import (
        ChangedLetters,
        ChosenLetters,
        DeadLetterDetail,
        DeadLetterPage,
        EventOverview,
        EventPublication,
        LetterSearch,
    )

ASKED: Final = operations(Events)


class SystemEvents:
    """One system's events, wherever their publishers and subscribers live; what is silent is named."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def overview(self, service: str) -> EventOverview:
        found = await self._everywhere("overview", ASKED["overview"].request(service=service))
        return merged_overviews(found.told, found.silent)

    async def dead(self, search: LetterSearch) -> DeadLetterPage:
        found = await self._everywhere("dead", search)
        return merged_pages(found.told, search, found.silent)

    async def letter(self, service: str, number: int, *, values: bool = False) -> DeadLetterDetail:
        request = ASKED["letter"].request(service=service, number=number, values=values)
        told: DeadLetterDetail = await self._asking.service(service, ASKED["letter"], request)
        return told

    async def redrive(self, chosen: ChosenLetters) -> ChangedLetters:
        found = await self._everywhere("redrive", chosen)
        return merged_changes(found.told, found.silent)

    async def discard(self, chosen: ChosenLetters) -> ChangedLetters:
        found = await self._everywhere("discard", chosen)
        return merged_changes(found.told, found.silent)

    async def publish(self, service: str, type: str, data: str) -> EventPublication:  # noqa: A002 - its name on the wire
        request = ASKED["publish"].request(service=service, type=type, data=data)
        told: EventPublication = await self._asking.service(service, ASKED["publish"], request)
        return told

    async def _everywhere(self, name: str, request: Any) -> Answers:
        return await self._asking.everywhere(ASKED[name], request)
