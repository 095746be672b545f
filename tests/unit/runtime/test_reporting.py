"""Every fact that a room states of itself is counted, and logged where a person should know."""

import importlib
import inspect
import logging
import pkgutil
import random
from pathlib import Path

import msgspec
import pytest

import meristem
from meristem import CallError, Code
from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.operation import Declaration, Retry, Semantics
from meristem.events.facts import Away, DeadLettered
from meristem.resilience.facts import BreakerChanged, CallRetried, RetryRefused, Shed
from meristem.resilience.retry import BudgetPolicy, RetryBudget, Retrying
from meristem.runtime.reporting import QUIET, REPORTS, FactReports
from meristem.telemetry.metrics import Registry
from tests.suites.operations import an_operation

PAGE = Path(__file__).parents[3] / "docs" / "telemetry.md"


def facts_of_every_room() -> set[type]:
    names = [each.name for each in pkgutil.walk_packages(meristem.__path__, "meristem.")]
    modules = [importlib.import_module(name) for name in names if name.endswith(".facts")]
    return {
        each
        for module in modules
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__ and issubclass(each, msgspec.Struct)
    }


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def reports(registry: Registry, clock: Clock) -> FactReports:
    return FactReports(registry, clock)


def counted(registry: Registry, name: str) -> dict[tuple[str, ...], float]:
    (found,) = (measure.read() for measure in registry.measures() if measure.name == name)
    return dict(found)


def test_every_kind_of_fact_has_a_counter_of_its_own():
    assert set(REPORTS) == facts_of_every_room()
    assert len({report.metric for report in REPORTS.values()}) == len(REPORTS)


@pytest.mark.parametrize("kind", REPORTS, ids=lambda kind: kind.__name__)
def test_the_page_of_telemetry_names_a_facts_counter_and_its_labels(kind: type):
    report = REPORTS[kind]
    assert f"| `{report.metric}` | {', '.join(report.labels)} |" in PAGE.read_text()


@pytest.mark.parametrize("kind", REPORTS, ids=lambda kind: kind.__name__)
def test_a_line_names_fields_that_its_fact_has(kind: type):
    line = REPORTS[kind].line
    if line is not None:
        fields = dict.fromkeys(kind.__struct_fields__, 0)  # type: ignore[attr-defined]
        assert line.text.format(**fields)
        assert line.about is None or line.about in fields


async def test_an_exhausted_retry_budget_is_counted_and_logged(registry, reports, caplog):
    operation = an_operation(Declaration(Semantics.SAFE, retry=Retry(attempts=3, base=0.001, cap=0.001)), method="ping")
    budget = RetryBudget("bank", BudgetPolicy(share=0.0, per_second=0.001, burst=2.0))

    async def down(_: Call) -> str:
        raise CallError(Code.UNAVAILABLE, "down", may_have_happened=False)

    call = Retrying(operation, budget, rng=random.Random(1), on_fact=reports.report).middleware(down)
    for _ in range(2):
        with pytest.raises(CallError):
            await call(Call(operation, None, Context()))

    assert counted(registry, "meristem_retries_total") == {("Bank.ping",): 1}
    assert counted(registry, "meristem_retries_refused_total") == {("Bank.ping", "bank"): 2}
    assert [each.getMessage() for each in caplog.records] == [
        "the retry budget of bank is used up: Bank.ping is not tried again"
    ]


def test_a_subscriber_that_is_away_is_counted_and_logged(registry, reports, caplog):
    reports.report(Away("billing", 0.4, "connection refused"))

    assert counted(registry, "meristem_subscribers_away_total") == {("billing",): 1}
    assert caplog.messages == ["billing cannot be reached, its events wait 0.4 s: connection refused"]


def test_lines_about_one_thing_come_once_in_ten_seconds_and_say_how_many_were_held_back(reports, clock, caplog):
    for _ in range(500):
        reports.report(RetryRefused("Bank.ping", "bank"))
        reports.report(RetryRefused("Post.send", "post"))
    assert len(caplog.records) == 2  # one for each dependency

    clock.now += QUIET
    reports.report(RetryRefused("Bank.ping", "bank"))
    reports.report(RetryRefused("Bank.ping", "bank"))

    assert caplog.messages[2:] == [
        "the retry budget of bank is used up: Bank.ping is not tried again (499 more times since the last such line)"
    ]


def test_each_change_of_a_breaker_is_logged_and_what_is_ordinary_is_not(reports, caplog):
    caplog.set_level(logging.DEBUG)
    reports.report(BreakerChanged("bank at a:1", "closed", "open", "5 of 5 calls failed"))
    reports.report(BreakerChanged("bank at a:1", "open", "half_open", "30 s are over"))
    reports.report(CallRetried("Bank.ping", 2, 0.1, "unavailable"))
    reports.report(DeadLettered("shop.Paid", "billing", 10, "ValueError: no"))  # the relay logs it with its traceback

    assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING"]


def test_calls_turned_away_are_logged_with_the_limit(registry, reports, caplog):
    for _ in range(3):
        reports.report(Shed("payments", 12))

    assert caplog.messages == ["payments turns calls away: 12 at once are its limit"]
    assert counted(registry, "meristem_shed_total") == {("payments",): 3}
