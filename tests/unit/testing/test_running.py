"""The kit runs a system three ways, and says what it cannot do."""

import logging
import tomllib
from typing import Protocol

import pytest

from meristem import ConfigurationError, Contract, MisuseError, Service, System, operation, safe
from meristem.testing.manual_clock import ManualClock
from meristem.testing.processes import Echo, as_toml
from meristem.testing.running import load_system, running


class Rates(Contract, Protocol, package="tests.v1"):
    @safe(timeout=60.0)
    async def rate(self, currency: str) -> float: ...

    @operation(timeout=60.0)
    async def count(self) -> int: ...


class Prices(Contract, Protocol, package="tests.v1"):
    @safe(timeout=60.0)
    async def price(self, cents: int) -> float: ...


class RatesService(Rates, Service):
    def __init__(self) -> None:
        self.asked = 0

    async def rate(self, currency: str) -> float:
        self.asked += 1
        return 2.0

    async def count(self) -> int:
        return self.asked


class PricesService(Prices, Service):
    def __init__(self, rates: Rates) -> None:
        self.rates = rates

    async def price(self, cents: int) -> float:
        return cents * await self.rates.rate("EUR")


class FixedRates:
    async def rate(self, currency: str) -> float:
        return 3.0

    async def count(self) -> int:
        return 0


SYSTEM = System("prices", services=[RatesService, PricesService])


@pytest.mark.parametrize("where", ["local", "wire"])
async def test_a_fake_answers_in_its_service_s_stead(where):
    async with running(SYSTEM, where=where, fakes={Rates: FixedRates()}) as app:
        assert await app.client(Prices).price(100) == 300.0
        assert await Prices.client().price(1) == 3.0


async def test_calls_of_a_fake_are_counted_and_traced_as_those_of_a_service():
    async with running(SYSTEM, fakes={Rates: FixedRates()}) as app:
        await app.client(Prices).price(100)

        counted = {(each.service, each.operation): each.total for each in app.telemetry.registry.snapshots()}
        assert counted["FixedRates", "Rates.rate"] == 1
        assert "tests.v1.Rates/rate" in {span.name for span in app.telemetry.recent.spans()}


@pytest.mark.parametrize(("where", "asked"), [("local", 1), ("wire", 4)])
async def test_by_wire_every_call_that_may_be_repeated_is_sent_twice_at_each_hop(where, asked):
    async with running(SYSTEM, where=where) as app:
        await app.client(Prices).price(100)

        assert await app.client(Rates).count() == asked


@pytest.mark.parametrize("options", [{"fakes": {Rates: FixedRates()}}, {"clock": ManualClock()}])
async def test_what_lives_in_this_process_is_refused_for_others(options):
    with pytest.raises(MisuseError, match="lives in this process, which others cannot reach"):
        async with running("systems.values:system", where="processes", **options):
            pass


async def test_processes_need_to_know_where_the_system_is():
    with pytest.raises(MisuseError, match=r'name the system by where it is, e\.g\. "shop\.system:system"'):
        async with running(SYSTEM, where="processes"):
            pass


def test_a_name_of_something_else_is_refused():
    with pytest.raises(ConfigurationError, match="names type, not a System"):
        load_system("decimal:Decimal")


def test_a_placement_is_written_as_toml():
    values = {"a b": {"x": [1, 2.5, True], "y": None, 'q"': "é𝄞\n\\"}, "n": {}, "t": [{"u": ("v",)}]}

    assert tomllib.loads(as_toml(values)) == {
        "a b": {"x": [1, 2.5, True], 'q"': "é𝄞\n\\"}, "n": {}, "t": [{"u": ["v"]}],
    }  # fmt: skip


def test_what_processes_log_is_logged_here_at_its_level(caplog):
    echo = Echo()
    echo.write("shop-0", b'{"event":"it broke","level":"error","logger":"shop","exception":"Traceback: x"}')
    echo.write("shop-0", b'{"event":"quiet","level":"debug","logger":"shop"}')
    echo.write("shop-0", "no JSON é".encode())

    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert (record.name, record.levelname, record.getMessage()) == ("shop", "ERROR", "it broke\nTraceback: x")
