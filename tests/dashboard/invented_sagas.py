"""Sagas that were never begun: one of each state, with steps, undos, children and what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from meristem.errors import CallError, Code
from meristem.operators.saga_contract import (
    FoundSaga,
    FoundSagas,
    SagaOverview,
    SagaSearch,
    SagasOfService,
    SearchableField,
)
from meristem.sagas.records import SagaState
from meristem.sagas.saga_views import Diagnosis, Relative, SagaDetails, SagaSummary, StepSummary, Why

SECOND = timedelta(seconds=1)
STEPS = (("Rooms.hold", 0.08), ("Payments.charge", 0.31), ("Rooms.confirm", 0.04))


class InventedSagas:
    """Answers what the pages ask of sagas; nothing changes."""

    def __init__(self, now: float) -> None:
        self.now = datetime.fromtimestamp(now, UTC)
        self.all = [self._saga(number, state) for number, state in enumerate(list(SagaState) * 4)]

    def _saga(self, number: int, state: SagaState) -> SagaDetails:
        began = self.now - SECOND * (40 + 90 * number)
        steps = [self._step(at, began + SECOND * at * 0.4) for at in range(len(STEPS))]
        waits, error, problem, trying, children = [], None, None, None, []
        if state is SagaState.WAITING:
            due = self.now + timedelta(days=2)
            steps.append(StepSummary(position="3", kind="sleep", name="sleep", state="waiting", attempts=0, started=began + SECOND, due=due))  # fmt: skip # noqa: E501
            waits.append(Diagnosis(why=Why.SLEEP, since=began, text="step 3 sleeps", helps="nothing: it goes on by itself then", until=due, position="3"))  # fmt: skip # noqa: E501
            children.append(Relative(id=f"c{number:031x}", position="1", name="remind", state=SagaState.RUNNING))
        if state in (SagaState.FAILED, SagaState.UNDOING):
            error = "the card was declined: " + "insufficient funds in the account that the guest named " * 3
            steps.append(StepSummary(position="0", kind="undo", name="Rooms.release", state="done", attempts=3, started=began + SECOND * 2, ended=began + SECOND * 2.2, seconds=0.2))  # fmt: skip # noqa: E501
        if state is SagaState.PARKED:
            problem = "the bank answered with something that is no JSON"
            waits.append(Diagnosis(why=Why.PERSON, since=began, text="it is parked, and waits for a person", error=problem, helps="mend it, then `meristem sagas retry 1`"))  # fmt: skip # noqa: E501
        if state is SagaState.RUNNING:
            trying = "Bank.pay is tried again, 4 attempts failed: the bank is away"
            waits.append(Diagnosis(why=Why.RETRY, since=began + SECOND * 3, text="step 3 (Bank.pay) is tried again: 4 attempts failed", helps="that Bank.pay answers", position="3", name="Bank.pay", attempts=4, error="the bank is away", until=self.now + SECOND * 30))  # fmt: skip # noqa: E501
        summary = SagaSummary(
            id=f"{number:032x}", name="make_booking", version=1, state=state, created=began, updated=began + SECOND * 3,
            attempts=1, problem=problem, error=error, wake_at=waits[0].until if state is SagaState.WAITING else None,
            trying=trying,
        )  # fmt: skip
        return SagaDetails(
            saga=summary, steps=steps, waits_for=waits, children=children, takes=["Approval"], trace_id="0" * 32,
            parent=Relative(id="f" * 32, position="2") if number == 3 else None,
        )  # fmt: skip

    def _step(self, at: int, started: datetime) -> StepSummary:
        name, took = STEPS[at]
        return StepSummary(
            position=str(at), kind="call", name=name, state="done", attempts=1 + at, started=started,
            ended=started + SECOND * took, seconds=took,
        )  # fmt: skip

    async def overview(self) -> SagaOverview:
        going = ("running", "waiting", "undoing", "parked")
        fields = [SearchableField(saga="make_booking", field="booking_id", whole=True)]
        counts = dict.fromkeys(going, 4)
        return SagaOverview(
            services=[SagasOfService(service="reservations", names=["make_booking"], counts=counts, fields=fields)],
            silent=["documents"],
        )

    async def find(self, search: SagaSearch) -> FoundSagas:
        found = [each.saga for each in self.all if not search.states or each.saga.state in search.states]
        found = [each for each in found if each.id.startswith(search.text)]
        sagas = [FoundSaga(service="reservations", saga=each) for each in found]
        return FoundSagas(sagas=sagas, services=["reservations"], silent=["documents"])

    async def show(self, service: str, saga_id: str, *, values: bool = False) -> SagaDetails:
        for each in self.all:
            if each.saga.id == saga_id:
                return each
        raise CallError(Code.NOT_FOUND, f"there is no saga {saga_id!r} here", may_have_happened=False)

    async def retry(self, service: str, saga_id: str) -> SagaSummary:
        raise NotImplementedError

    cancel = fork = signal = retry_some = cancel_some = retry
