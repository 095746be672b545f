"""The kit runs a system three ways, and says what it cannot do."""

import importlib
import logging
import sys
import tomllib
from math import inf, isnan, nan
from types import ModuleType
from typing import Protocol

import httpx
import pytest

from meristem import (
    App,
    CallError,
    Code,
    ConfigurationError,
    Contract,
    Database,
    MisuseError,
    Program,
    Service,
    System,
    operation,
    safe,
)
from meristem.system.placement import Placement
from meristem.testing import ManualClock, running
from meristem.testing.harness import load_system
from meristem.testing.processes import Echo, as_toml


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
    with pytest.raises(MisuseError, match="is for services in this process"):
        async with running("systems.values:system", where="processes", **options):
            pass


PARTS = """
from typing import Protocol
from meristem import Contract, Identity, Service, current, safe

class Who(Contract, Protocol, package="tests.v1"):
    @safe(http="GET /who", authenticated=True, timeout=60.0)
    async def am_i(self) -> list[str]: ...

class Parts:
    class WhoService(Who, Service):
        async def am_i(self) -> list[str]:
            return [current().user.subject, *WENT]

WENT = []

async def authenticate(token):
    return Identity(token)

def middleware(handler):
    async def around(call):
        WENT.append(call.operation.name)
        return await handler(call)
    return around
"""


async def test_a_system_without_a_name_is_found_by_those_of_its_parts(tmp_path, monkeypatch):
    (tmp_path / "parts_of_a_test.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    parts = importlib.import_module("parts_of_a_test")
    system = System(
        "nameless", services=[parts.Parts.WhoService], authenticate=parts.authenticate, api="/rest",
        middleware=[parts.middleware], programs=[Program("sleeper", ["sleep", "600"])],
    )  # fmt: skip
    async with running(system, where="processes") as app, httpx.AsyncClient(base_url=app.address) as http:
        answer = await http.get("/rest/who", headers={"authorization": "Bearer ada"})

    assert answer.json() == ["ada", "am_i"]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("service", r"Local is no name of a module's"),
        ("middleware", r"<lambda> is no name of a module's"),
        ("app", "its app 'web' is an object"),
        ("module", "other processes can't import test_on_nobody_s_path, in which Kept is"),
    ],
)
async def test_a_system_that_other_processes_cannot_find_is_refused(part, why, monkeypatch):
    class Local(Service): ...

    module = ModuleType("test_on_nobody_s_path")
    module.Kept = type("Kept", (Service,), {"__module__": module.__name__, "__qualname__": "Kept"})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    system = {
        "service": lambda: System("nameless", services=[Local]),
        "middleware": lambda: System("nameless", middleware=[lambda handler: handler]),
        "app": lambda: System("nameless", apps=[App("web", object())]),
        "module": lambda: System("nameless", services=[module.Kept]),
    }[part]()
    with pytest.raises(MisuseError, match=rf'{why}: assign it in a module, or name it by .*"shop\.system:system"'):
        async with running(system, where="processes"):
            pass


def test_a_name_of_something_else_is_refused():
    with pytest.raises(ConfigurationError, match="names type, not a System"):
        load_system("decimal:Decimal")


@pytest.mark.parametrize("where", ["local", "wire"])
async def test_the_database_of_a_test_is_written_as_a_placement_writes_it(tmp_path, where):
    class Keeping(Service):
        def __init__(self, database: Database) -> None: ...

    url = f"sqlite:///{tmp_path}/{{system}}-{{service}}.db"
    async with running(System("kept", services=[Keeping]), where=where, database=url):
        assert (tmp_path / "kept-keeping.db").exists()


def test_a_placement_is_written_as_toml():
    values = {"a b": {"x": [1, 2.5, True], "y": None, 'q"': "é𝄞\n\\"}, "n": {}, "t": [{"u": ("v",)}]}

    assert tomllib.loads(as_toml(values)) == {
        "a b": {"x": [1, 2.5, True], 'q"': "é𝄞\n\\"}, "n": {}, "t": [{"u": ["v"]}],
    }  # fmt: skip


def test_what_json_writes_otherwise_is_toml_all_the_same():
    values = {"a\x7fb": [inf, -inf, 1e300], "text": '\x7f\x00\x1f"', "none": None}

    assert tomllib.loads(as_toml(values)) == {"a\x7fb": [inf, -inf, 1e300], "text": '\x7f\x00\x1f"'}
    assert isnan(tomllib.loads(as_toml({"x": nan}))["x"])
    with pytest.raises(MisuseError, match="TOML has no None"):
        as_toml({"x": {"y": [1, None]}})


KEPT = """
from typing import Protocol
from meristem import Contract, Database, Service, System, safe

class Keeping(Contract, Protocol, package="kept.v1"):
    @safe(timeout=60.0)
    async def where(self) -> str: ...

class KeepingService(Keeping, Service):
    def __init__(self, database: Database) -> None: ...
    async def where(self) -> str:
        return "here"

system = System("kept", services=[KeepingService])
"""


@pytest.mark.parametrize("placed", [Placement(processes={"one": ("*",)}), None], ids=["placed", "each by itself"])
async def test_the_database_of_a_test_is_stronger_than_its_placements(tmp_path, monkeypatch, placed):
    module = "kept_by_each" if placed is None else "kept_as_placed"  # no two tests import one name
    (tmp_path / f"{module}.py").write_text(KEPT)
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/mine-{{service}}.db"
    async with running(f"{module}.py:system", where="processes", placement=placed, database=url):
        assert (tmp_path / "mine-keeping.db").exists()


def test_what_processes_log_is_logged_here_at_its_level(caplog):
    echo = Echo()
    echo.write("shop-0", b'{"event":"it broke","level":"error","logger":"shop","exception":"Traceback: x"}')
    echo.write("shop-0", b'{"event":"quiet","level":"debug","logger":"shop"}')
    echo.write("shop-0", "no JSON é".encode())

    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert (record.name, record.levelname, record.getMessage()) == ("shop", "ERROR", "it broke\nTraceback: x")


class Purse:
    """What a service makes for itself."""

    def __init__(self) -> None:
        self.coins = 3


class PurseService(Rates, Service, provides=[Purse]):
    def __init__(self, purse: Purse) -> None:
        self.purse = purse

    async def rate(self, currency: str) -> float:
        return float(self.purse.coins)

    async def count(self) -> int:
        return 0


class FullPurse(Purse):
    def __init__(self) -> None:
        self.coins = 100


@pytest.mark.parametrize("where", ["local", "wire"])
async def test_what_a_service_provides_to_itself_can_be_faked(where):
    async with running(System("purse", services=[PurseService]), where=where, fakes={Purse: FullPurse()}) as app:
        assert await app.client(Rates).rate("EUR") == 100.0


class Strange(Contract, Protocol, package="tests.v1"):
    @safe
    async def nothing(self) -> None: ...


@pytest.mark.parametrize(("key", "there_are"), [(Strange, "Prices, Rates"), (Purse, "Prices, Rates"), (str, "Prices")])
@pytest.mark.parametrize("where", ["local", "wire"])
async def test_a_fake_of_what_the_system_does_not_have_is_refused(where, key, there_are):
    with pytest.raises(MisuseError, match=f"provides {key.__name__}; what can be faked: {there_are}"):
        async with running(SYSTEM, where=where, fakes={key: object()}):
            pass


async def test_a_method_that_a_fake_lacks_is_told_with_what_to_do():
    class Half:
        async def rate(self, currency: str) -> float:
            return 2.0

    async with running(SYSTEM, fakes={Rates: Half()}) as app:
        assert await app.client(Prices).price(100) == 200.0
        with pytest.raises(CallError, match=r"Half fakes Rates without count\(\): write it in Half") as caught:
            await app.client(Rates).count()
    assert caught.value.code is Code.UNIMPLEMENTED
