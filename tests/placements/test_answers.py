"""What a service's own code says is its answer in every placement; what its server refuses is no answer at all."""

import asyncio

import pytest
from systems.busy import FAULTS, Bank, Broker, Gate, Till

from meristem import CallError, Code, Fault
from meristem.errors import REPEATABLE
from meristem.resilience.limiter import LimiterPolicy
from meristem.resilience.policies import Policies
from meristem.resilience.retry import BudgetPolicy
from meristem.system.placement import Placement
from meristem.testing.elsewhere import samples

SYSTEM = "systems.busy:system"
ONE = Policies(
    limiter=LimiterPolicy(initial=1, minimum=1, maximum=1, queue=0),
    budget=BudgetPolicy(per_second=1000.0, burst=1000.0),
)
PROCESSES = {"broker": ("broker",), "bank": ("bank",), "till": ("till",), "gate": ("gate",)}
OPTIONS = {"placement": Placement(processes=PROCESSES, policies={"till": ONE})}
SEMANTICS = ["read", "put", "charge", "plain"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("happened", [True, False, None])
@pytest.mark.parametrize("code", sorted(each.value for each in REPEATABLE))
async def test_an_error_that_the_service_raises_is_heard_at_once(app, semantics, happened, code):
    bank = app.client(Bank)
    before = await bank.tried()
    with pytest.raises(CallError, match="the bank is busy") as caught:
        await getattr(bank, semantics)(code, happened=happened)

    assert (caught.value.code.value, caught.value.may_have_happened) == (code, happened is not False)
    assert await bank.tried() == before + 1


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize(("how", "code"), [("bug", Code.INTERNAL), ("locked", Code.UNAVAILABLE)])
async def test_an_exception_that_it_lets_out_is_heard_at_once(app, semantics, how, code, caplog):
    bank = app.client(Bank)
    before = await bank.tried()
    with pytest.raises(CallError) as caught:
        await getattr(bank, semantics)(how, happened=None)

    assert caught.value.code is code
    assert await bank.tried() == before + 1


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("fault", [each.__name__ for each in FAULTS])
async def test_a_fault_is_heard_at_once_whatever_its_code(app, semantics, fault):
    bank = app.client(Bank)
    before = await bank.tried()
    with pytest.raises(Fault) as caught:
        await getattr(bank, semantics)(fault, happened=None)

    assert type(caught.value).__name__ == fault
    assert await bank.tried() == before + 1


@pytest.mark.parametrize("code", sorted(each.value for each in REPEATABLE))
async def test_what_a_service_lets_pass_is_an_answer_of_its_own(app, code):
    bank = app.client(Bank)
    before = await bank.tried()
    with pytest.raises(CallError, match="the bank is busy"):
        await app.client(Broker).charge(code)

    assert await bank.tried() == before + 1


async def test_a_call_that_its_server_turned_away_is_made_again_until_it_is_answered(app, where):
    till, gate = app.client(Till), app.client(Gate)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(till.hold())
        await gate.entered()
        waiting = [group.create_task(getattr(till, each)()) for each in SEMANTICS]
        while where != "local" and await turned_away(app) < len(SEMANTICS):
            await asyncio.sleep(0.02)
        await gate.open()

    assert [each.result() for each in waiting] == ["read", "put", "charged", "done"]


async def turned_away(app):
    found = [sample for text in await app.all_figures() for sample in samples(text)]
    return sum(each.value for each in found if each.name == "meristem_shed_total")
