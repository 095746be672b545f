"""Answers who wants to change what runs where nobody supervises it."""

from __future__ import annotations

from typing import Final, NoReturn

from meristem.errors import CallError, Code
from meristem.operators.supervision_contract import SupervisionView

REFUSAL: Final = (
    "one process without a supervisor runs here: end it and run it again, or divide it by "
    "`meristem run --placement FILE`, which restarts and scales processes while they serve"
)


class Unsupervised:
    """Refuses each change with a sentence; it answers `ProcessControl`."""

    async def supervision(self) -> SupervisionView:
        return SupervisionView(refusal=REFUSAL, parts=[], changes=[])

    async def restart(self, process: str) -> NoReturn:
        _refuse(process)

    async def restart_program(self, program: str) -> NoReturn:
        _refuse(program)

    async def restart_all(self) -> NoReturn:
        _refuse()

    async def scale(self, process: str, replicas: int) -> NoReturn:
        _refuse(process, replicas)


def _refuse(*_asked: object) -> NoReturn:
    raise CallError(Code.FAILED_PRECONDITION, REFUSAL)
