"""Answers operators of the contracts of a whole system: each question goes to the process that has the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.contracts.contract import operations
from meristem.operators.catalogue_contract import Catalogue, ContractList

if TYPE_CHECKING:
    from meristem.operators.asking import Asking
    from meristem.operators.catalogue_contract import (
        CallAnswer,
        ContractDetails,
        ExportedFile,
        ExportForm,
        OperatorCall,
        Snippet,
        SnippetQuestion,
    )
    from meristem.operators.health import Overview

ASKED: Final = operations(Catalogue)


class SystemCatalogue:
    """The contracts of one system; it answers `Catalogue`."""

    def __init__(self, overview: Overview, asking: Asking) -> None:
        self._overview = overview
        self._asking = asking

    async def contracts(self) -> ContractList:
        asked = ASKED["contracts"]
        answers = await self._asking.everywhere(asked, asked.request())
        found = {(each.service, each.name): each for told in answers.told for each in told.contracts}
        return ContractList(contracts=[found[key] for key in sorted(found)], silent=sorted(answers.silent))

    async def contract(self, service: str, name: str) -> ContractDetails:
        asked = ASKED["contract"]
        told: ContractDetails = await self._asking.service(service, asked, asked.request(service=service, name=name))
        return told

    async def export(self, service: str, name: str, form: ExportForm) -> list[ExportedFile]:
        asked = ASKED["export"]
        told: list[ExportedFile] = await self._asking.service(
            service, asked, asked.request(service=service, name=name, form=form)
        )
        return told

    async def snippets(self, question: SnippetQuestion) -> list[Snippet]:
        question = replace(question, address=question.address or self._overview.address or "")
        told: list[Snippet] = await self._asking.service(question.service, ASKED["snippets"], question)
        return told

    async def call(self, call: OperatorCall) -> CallAnswer:
        told: CallAnswer = await self._asking.service(call.service, ASKED["call"], call)
        return told
