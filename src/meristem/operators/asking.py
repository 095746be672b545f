"""The way of an operator's question to the processes in which the services live that it is about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.operators.health import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.operation import Operation
    from meristem.operators.health import Instance, Overview


MARGIN: Final = 0.8  # of the time that an operator has, for the processes
SLOW: Final = 0.5  # seconds after which one that has not answered is asked whether it turns at all
# One that fails (its log says why) hides no more of a system than one that is away: what others say is told.
UNANSWERED: Final = (Code.UNAVAILABLE, Code.INTERNAL)
UNSAID: Final = "it took longer than it may"


class Answers(NamedTuple):
    """What processes said, and the services of those that said nothing."""

    told: Sequence[Any]
    silent: Sequence[str]


class Asking:
    """Asks one replica of a process, and the next one where that is away."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    async def service(self, service: str, operation: Operation, request: Any) -> Any:
        """What the process of a service answers.

        Raises CallError `not_found` for a service that the system does not have, `unavailable` where no replica
        answers, and what the process refuses.
        """
        replicas = [each for each in self._overview.instances() if service in each.services]
        if not replicas:
            there_are = ", ".join(sorted({name for each in self._overview.instances() for name in each.services}))
            text = f"no service {service!r} lives here; there are {there_are or 'none'}"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        return await _first_of(replicas, operation, request)

    async def everywhere(self, operation: Operation, request: Any) -> Answers:
        """What each process with services answers, all asked at once."""
        processes: dict[str, list[Instance]] = {}
        for each in self._overview.instances():
            if each.services:
                processes.setdefault(each.labels["process"], []).append(each)
        found = await asyncio.gather(*(_told(replicas, operation, request) for replicas in processes.values()))
        silent = [
            service
            for answer, replicas in zip(found, processes.values(), strict=True)
            if isinstance(answer, CallError)
            for service in replicas[0].services
        ]
        return Answers([each for each in found if not isinstance(each, CallError)], silent)

    async def each_replica(self, operation: Operation, request: Any) -> Answers:
        """What each replica of each process answers, all asked at once; silent are `process/replica`."""
        replicas = [each for each in self._overview.instances() if "process" in each.labels]
        found = await asyncio.gather(*(_told([each], operation, request) for each in replicas))
        silent = [
            f"{each.labels['process']}/{each.labels['replica']}"
            for answer, each in zip(found, replicas, strict=True)
            if isinstance(answer, CallError)
        ]
        return Answers([each for each in found if not isinstance(each, CallError)], silent)


async def _told(replicas: Sequence[Instance], operation: Operation, request: Any) -> Any:
    try:
        return await _first_of(replicas, operation, request)
    except CallError as error:
        if error.code not in UNANSWERED:
            raise
        return error


async def _first_of(replicas: Sequence[Instance], operation: Operation, request: Any) -> Any:
    """One after the other: what changes something must not be begun twice because the first was slow."""
    problem = ""
    # All together within the time of who asks, who is then told which one is silent. What may be begun once alone has
    # all of it: after one that was slow no other is asked.
    share = len(replicas) if operation.semantics.repeatable else 1
    patient = operation.under(timeout=operation.timeout * MARGIN / share)
    for each in replicas:
        try:
            return await _answer_of(each, patient, request)
        except TimeoutError as error:
            if not operation.semantics.repeatable:
                text = f"{operation.label} was not answered in time: look whether it was done"
                raise CallError(Code.UNAVAILABLE, text, may_have_happened=True) from error
            problem = str(error) or UNSAID
        except OSError as error:
            problem = str(error)
    process = replicas[0].labels["process"]
    raise CallError(Code.UNAVAILABLE, f"process {process} does not answer: {problem}", may_have_happened=False)


async def _answer_of(instance: Instance, operation: Operation, request: Any) -> Any:
    """What a replica answers, be it slowly; one that hangs is not waited for as long as a slow one may take."""
    asked = asyncio.ensure_future(instance.ask(operation, request))
    try:
        if operation.semantics is Semantics.SAFE:  # else it could be that it is done
            await asyncio.wait({asked}, timeout=SLOW)
            if not asked.done() and (health := await instance.health()).status == SILENT and not asked.done():
                raise TimeoutError(health.problem or "it hangs")
        return await asked
    finally:
        asked.cancel()
