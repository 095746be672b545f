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
    made = tuple(OperationPlan(name, f"/bazaar.stock.v1.Stock/{name}", "safe", 1.0, False, http) for name in names)
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
