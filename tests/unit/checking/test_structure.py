"""The shape of a system: directions of calls, circles, and what nobody tests, hears or calls."""

import msgspec
import pytest

from meristem.checking.check_options import CheckOptions
from meristem.system.plan import OperationPlan, Plan

from .conftest import BAZAAR, PLAN, Checking, Files
from .test_planted import GIVING, stock

TESTS: Files = {
    "tests/test_all.py": "from bazaar.contracts import Orders, Stock\n\nasync def test():\n    await x.left('a')\n"
}
ASKED = 4  # the line of the class whose constructor asks for the stock


def brief(found):
    return [(each.rule, each.file, each.line, each.parts) for each in found]


def operations(plan: Plan, *names: str, http: str | None = None) -> Plan:
    """The plan with operations of the stock."""
    made = tuple(
        OperationPlan(name, f"/bazaar.stock.v1.Stock/{name}", "safe", 1.0, False, http, http is not None)
        for name in names
    )
    first, *others = plan.services
    return msgspec.structs.replace(plan, services=(msgspec.structs.replace(first, operations=made), *others))


def test_a_call_that_goes_up_the_layers_or_stays_in_one_is_told(checking: Checking):
    for layers in ((("stock",), ("orders",)), (("web",), ("stock", "orders"))):
        found = checking({}, options=CheckOptions(layers=layers))

        assert brief(found) == [("layer", GIVING, ASKED, ("orders", "stock"))]


def test_calls_that_go_down_and_parts_in_no_layer_are_not_spoken_of(checking: Checking):
    assert checking({}, options=CheckOptions(layers=(("web",), ("orders",), ("stock",)))) == []
    assert checking({}, options=CheckOptions(layers=(("stock",), ("web",)))) == []


def test_a_call_that_is_not_allowed_is_told_a_clients_of_an_app_too(checking: Checking):
    found = checking({}, options=CheckOptions(calls={"orders": (), "web": ("stock",)}))

    assert brief(found) == [
        ("call", GIVING, ASKED, ("orders", "stock")),
        ("call", "bazaar/web/app.py", 8, ("web", "orders")),
    ]
    assert checking({}, options=CheckOptions(calls={"orders": ("stock",), "web": ("orders",)})) == []


def test_a_circle_that_a_client_in_a_method_closes_is_told(checking: Checking):
    found = checking(stock("from bazaar.contracts import Orders", "return await Orders.client().count()"))

    assert [(each.rule, set(each.parts)) for each in found] == [("circle", {"orders", "stock"})]
    assert "orders → stock → orders" in found[0].problem


CONTRACT = """
from typing import TYPE_CHECKING, Protocol
from meristem import Contract, Message, safe
{imports}

class {name}Line(Message):
    text: str

class {name}(Contract, Protocol, package="bazaar.{module}.v1"):
    @safe
    async def {method}(self) -> int: ...
"""


def apart(**imports: str) -> Files:
    """The contracts in modules of their own, each with its imports."""
    made = {"orders": ("Orders", "count"), "stock": ("Stock", "left")}
    files = {
        f"bazaar/promises/{module}.py": CONTRACT.format(
            name=name, module=module, method=method, imports=imports.get(module, "")
        )
        for module, (name, method) in made.items()
    }
    shown = "from bazaar.promises.orders import Orders\nfrom bazaar.promises.stock import Stock\n"
    others = {f"bazaar/promises/{name}.py": text for name, text in imports.items() if name not in made}
    return files | {"bazaar/promises/__init__.py": shown} | others


def promised(*owners: str) -> Plan:
    """The plan with the contracts in those modules, of the services that are named."""
    places = {
        "stock": {"bazaar.stock.v1.Stock": "bazaar.promises.stock:Stock"},
        "orders": {"bazaar.orders.v1.Orders": "bazaar.promises.orders:Orders"},
    }
    if owners:  # both are of one service
        places = {name: places["stock"] | places["orders"] if name in owners else {} for name in places}
    services = tuple(msgspec.structs.replace(each, contracts=places[each.name]) for each in PLAN.services)
    return msgspec.structs.replace(PLAN, services=services)


ORDERS, STOCK = "from bazaar.promises.orders import OrdersLine", "from bazaar.promises.stock import StockLine"


@pytest.mark.parametrize(
    "files",
    [
        apart(orders=STOCK, stock=ORDERS),
        apart(orders=STOCK, stock="import bazaar.promises.orders"),
        apart(orders=STOCK, stock="from bazaar.promises.lines import OrdersLine", lines=ORDERS),
    ],
)
def test_contracts_that_import_each_other_are_told_once(checking: Checking, files: Files):
    found = [each for each in checking(files, plan=promised()) if each.rule == "circle"]

    assert brief(found) == [("circle", "bazaar/promises/orders.py", 3, ("orders", "stock"))]
    assert "bazaar.promises.orders, bazaar.promises.stock" in found[0].problem
    assert "move what they share" in found[0].remedy


@pytest.mark.parametrize(
    ("files", "plan"),
    [
        (apart(), promised()),
        (apart(orders=STOCK), promised()),
        (apart(orders="from bazaar.promises.money import Money", stock="from bazaar.promises.money import Money",
               money="from meristem import Message\n\nclass Money(Message):\n    cents: int\n"), promised()),
        (apart(orders=STOCK, stock=f"if TYPE_CHECKING:\n    {ORDERS}"), promised()),
        (apart(orders="from bazaar.promises import Stock", stock="from bazaar.promises import Orders"), promised()),
        (apart(orders=STOCK, stock=ORDERS), promised("stock")),
    ],
)  # fmt: skip
def test_contracts_that_do_not_need_each_other_are_not_spoken_of(checking: Checking, files: Files, plan: Plan):
    assert [each for each in checking(files, plan=plan) if each.rule == "circle"] == []


def test_a_service_that_no_test_mentions_is_told_where_there_are_tests(checking: Checking):
    found = checking({"tests/test_left.py": "from bazaar.contracts import Stock\n"})

    assert brief(found) == [("untested", GIVING, ASKED, ("orders",))]


@pytest.mark.parametrize(
    "files",
    [
        {"tests/test_all.py": "from bazaar.contracts import Orders, Stock\n"},
        {"test_all.py": "COMMAND = ['call', 'orders.count', 'stock.left']\n"},
        {"bazaar/orders/tests/test_x.py": "", "bazaar/stock/tests/test_x.py": ""},
        {},
    ],
)
def test_services_that_tests_mention_and_systems_without_tests_are_not_spoken_of(files: Files, checking: Checking):
    assert checking(files) == []


def test_an_event_that_no_service_and_no_test_hears_is_told(checking: Checking):
    events = BAZAAR["bazaar/contracts.py"] + "\n        class Lost(OrderPlaced):\n            why: str\n"

    found = checking(TESTS | {"bazaar/contracts.py": events})

    assert [(each.rule, each.parts, each.subject) for each in found] == [
        ("unheard", ("orders",), "bazaar.contracts.Lost")
    ]
    heard = TESTS | {"bazaar/contracts.py": events, "tests/test_lost.py": "from bazaar.contracts import Lost\n"}
    assert checking(heard) == []


def test_an_event_of_another_system_in_the_package_is_not_spoken_of(checking: Checking):
    events = "from meristem import Event\nclass Rung(Event, package='bazaar.bells.v1'):\n    pass\n"

    assert checking(TESTS | {"bazaar/bells/events.py": events}) == []


def test_an_operation_that_no_code_names_is_told_unless_it_has_a_path(checking: Checking):
    contracts = BAZAAR["bazaar/contracts.py"].replace(
        "def left(self", "def audit(self) -> int: ...\n\n            async def left(self"
    )
    files = TESTS | {"bazaar/contracts.py": contracts}

    found = checking(files, plan=operations(PLAN, "left", "audit"))

    assert [(each.rule, each.parts, each.subject) for each in found] == [("uncalled", ("stock",), "stock.audit")]
    assert found[0].line == 12
    assert checking(files, plan=operations(PLAN, "audit", http="GET /audit")) == []


def test_what_is_switched_off_wholly_or_for_one_subject_is_not_told(checking: Checking):
    layers = (("stock",), ("orders",))

    assert checking({}, options=CheckOptions(layers=layers, off={"layer": "for now"})) == []
    assert checking({}, options=CheckOptions(layers=layers, off={"layer orders->stock": "for now"})) == []
    assert len(checking({}, options=CheckOptions(layers=layers, off={"layer orders->web": "for now"}))) == 1
