"""Answers who wants to change what runs where nobody supervises it."""

from __future__ import annotations

from typing import Final, NoReturn

from meristem.errors import CallError, Code
from meristem.operators.supervision_contract import SupervisionView

ALONE: Final = (
    "one process without a supervisor runs here: end it and run it again, or divide it by "
    "`meristem run --placement FILE`, which restarts and scales processes while they serve"
)
CONTAINED: Final = (
    "this process was started by itself, as containers are: what runs them (Kubernetes, Nomad, systemd) starts them "
    "anew and decides how many there are"
)


class Unsupervised:
    """Refuses each change with a sentence, the `refusal`; it answers `ProcessControl`."""

    def __init__(self, refusal: str = ALONE) -> None:
        self._refusal = refusal

    async def supervision(self) -> SupervisionView:
        return SupervisionView(refusal=self._refusal, parts=[], changes=[])

    async def restart(self, process: str) -> NoReturn:
        self._refuse(process)

    async def restart_program(self, program: str) -> NoReturn:
        self._refuse(program)

    async def restart_all(self) -> NoReturn:
        self._refuse()

    async def scale(self, process: str, replicas: int) -> NoReturn:
        self._refuse(process, replicas)

    def _refuse(self, *_asked: object) -> NoReturn:
        raise CallError(Code.FAILED_PRECONDITION, self._refusal)
