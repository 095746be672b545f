"""A system is understood as a plan before anything starts; what cannot work is refused with the remedy."""

import re
from typing import Protocol

import msgspec
import pytest

from meristem import (
    App,
    ConfigurationError,
    Contract,
    Database,
    Event,
    Flow,
    Program,
    Retry,
    Service,
    System,
    WiringError,
    on,
    once,
    safe,
    saga,
)  # fmt: skip
from meristem.resilience.policies import OperationPolicy, Policies
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import ProcessTable
from meristem.system.plan import Plan


class Stock(Contract, Protocol, package="shop.stock.v1"):
    @safe(http="GET /stock/{item}")
    async def left(self, item: str) -> int: ...


class Orders(Contract, Protocol, package="shop.orders.v1"):
    @once(timeout=9.0)
    async def order(self, item: str) -> str: ...


class Ordered(Event, package="shop.orders.v1"):
    item: str


class StockService(Stock, Service):
    async def left(self, item: str) -> int:
        return len(item)

    @on(Ordered)
    async def take(self, event: Ordered) -> None: ...


class OrdersService(Orders, Service):
    def __init__(self, stock: Stock) -> None: ...

    @saga
    async def order(self, flow: Flow, item: str) -> str:
        return item


class SecondStock(StockService): ...


class Idle(Service):
    async def start(self) -> None: ...


def refused(*services: type[Service]) -> str:
    with pytest.raises(WiringError) as caught:
        Blueprint(System("shop", services=services))
    return str(caught.value)


def test_services_stand_in_the_order_in_which_they_start():
    plan = Blueprint(System("shop", services=[OrdersService, StockService])).plan

    assert [each.name for each in plan.services] == ["stock", "orders"]


def test_the_plan_says_who_calls_whom_and_hears_what_and_survives_json():
    web = App("web", "shop.web:app")
    system = System("shop", services=[StockService, OrdersService], apps=[web], programs=[Program("x", ["x", "-y"])])
    plan = Blueprint(system).plan
    stock, orders = plan.services

    assert (orders.calls, orders.sagas, orders.database) == (("stock",), ("order",), True)
    assert (list(stock.hears), list(stock.contracts)) == (["shop.orders.v1.Ordered"], ["shop.stock.v1.Stock"])
    assert msgspec.to_builtins(stock.operations[0]) == {
        "name": "left", "path": "/shop.stock.v1.Stock/Left", "semantics": "safe", "timeout": 5.0, "stream": False,
        "http": "GET /stock/{item}", "public": True,
    }  # fmt: skip
    assert plan.subscribers() == {"shop.orders.v1.Ordered": ("stock",)}
    assert plan.process_of("web").name == "main"
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_contract_that_nobody_implements_is_named_with_who_asks():
    assert refused(OrdersService) == (
        "orders asks for Stock, but no service of the system implements it; add one to services=[...], "
        "or name the system that does in external={...}"
    )


def test_two_services_for_one_contract_are_refused():
    assert refused(StockService, SecondStock) == ("Stock is implemented by both 'stock' and 'second_stock'; keep one")


class One(Contract, Protocol, package="ring.v1"):
    @safe
    async def one(self) -> None: ...


class Two(Contract, Protocol, package="ring.v1"):
    @safe
    async def two(self) -> None: ...


class Three(Contract, Protocol, package="ring.v1"):
    @safe
    async def three(self) -> None: ...


class OneService(One, Service):
    def __init__(self, two: Two) -> None: ...
    async def one(self) -> None: ...


class TwoService(Two, Service):
    def __init__(self, three: Three) -> None: ...
    async def two(self) -> None: ...


class ThreeService(Three, Service):
    def __init__(self, one: One) -> None: ...
    async def three(self) -> None: ...


def test_services_that_call_each_other_in_a_circle_are_drawn():
    assert refused(OneService, TwoService, ThreeService) == (
        "services call each other in a circle: one → two → three → one; let one of them hear the other's events instead"
    )


def test_a_service_that_keeps_nothing_has_no_database():
    class Plain(Stock, Service):
        async def left(self, item: str) -> int:
            return 0

    class Keeping(Stock, Service):
        def __init__(self, database: Database) -> None: ...

        async def left(self, item: str) -> int:
            return 0

    assert [Blueprint(System("shop", services=[each])).plan.services[0].database for each in (Plain, Keeping)] == [
        False,
        True,
    ]


SHOP = System("shop", services=[StockService, OrdersService], apps=[App("web", "shop.web:app")])


@pytest.mark.parametrize(
    ("processes", "problem"),
    [
        ({"a": ("stcok", "*")}, "there is no service or app 'stcok'; did you mean 'stock'?"),
        ({"a": ("zzz", "*")}, "there is no service or app 'zzz'; there are stock, orders, web"),
        ({"a": ("stock",), "b": ("web",)}, "'orders' has no process; name it, or let one take the rest, \"*\""),
        ({"a": ("stock",), "b": ("stock", "*")}, "'stock' is placed twice; use replicas for more of it"),
        ({"a": ("*",), "b": ("*", "stock")}, 'both a and b take the rest, "*"'),
        ({"a": ProcessTable(("*",), replicas=0)}, "[processes.a]: replicas = 0; give at least 1"),
        ({"a": ProcessTable(("*",), port=70000)}, "[processes.a]: port = 70000; give one between 1 and 65535"),
    ],
)
def test_a_placement_that_cannot_be_is_refused(processes, problem):
    with pytest.raises(ConfigurationError) as caught:
        Blueprint(SHOP, Placement(processes=processes))

    assert str(caught.value) == f"placement: {problem}"


def test_the_rest_goes_where_the_star_is():
    placed = Blueprint(SHOP, Placement(processes={"edge": ("web",), "rest": ProcessTable(("*",), replicas=2)})).plan

    assert [(each.name, each.services, each.apps, each.replicas) for each in placed.processes] == [
        ("edge", (), ("web",), 1),
        ("rest", ("stock", "orders"), (), 2),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[processes", "Expected"),
        ("[proceses]\na = ['*']", "unknown field `proceses`"),
        ("[processes]\na = { service = ['*'] }", "processes"),
        ("[processes]\na = { services = ['*'], replicas = 'two' }", "replicas"),
    ],
)
def test_a_placement_file_that_is_wrong_is_refused_with_its_name_and_the_key(tmp_path, text, problem):
    file = tmp_path / "split.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Placement.read(file)

    assert str(caught.value).startswith(f"{file}: ")
    assert problem in str(caught.value)


def test_a_placement_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no placement file"):
        Placement.read(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "shop/x", "shop name", "x" * 64])
def test_a_name_that_cannot_stand_in_a_path_or_variable_is_refused(name):
    with pytest.raises(WiringError, match="cannot name a part of a system"):
        System(name)


def test_two_parts_with_one_name_or_one_path_are_refused():
    with pytest.raises(WiringError, match="shop: two parts are named 'stock'"):
        System("shop", services=[StockService], apps=[App("stock", "x:y")])
    with pytest.raises(WiringError, match="shop: two parts are mounted at '/a'"):
        System("shop", apps=[App("x", "x:y", mount="/a"), App("y", "x:y", mount="/a/")])


def test_a_placement_sets_the_terms_of_single_operations():
    policies = {"orders": Policies(operations={"order": OperationPolicy(timeout=8.0, attempts=5)})}
    blueprint = Blueprint(SHOP, Placement(policies=policies))

    (planned,) = next(each for each in blueprint.plan.services if each.name == "orders").operations
    order = blueprint.operations(Orders)["order"]
    assert (planned.timeout, order.timeout, order.retry) == (8.0, 8.0, Retry(attempts=5))
    assert blueprint.operations(Stock)["left"].timeout == 5.0
    assert Blueprint(SHOP).operations(Orders)["order"].timeout == 9.0


@pytest.mark.parametrize(
    ("operation", "policy", "said"),
    [
        ("ordr", OperationPolicy(), "there is no operation 'ordr'; did you mean 'order'"),
        ("order", OperationPolicy(timeout=0), "timeout = 0; give more than 0 seconds"),
        ("order", OperationPolicy(timeout=-1.5), "timeout = -1.5; give more"),
        ("order", OperationPolicy(timeout=float("nan")), "timeout = nan; give more"),
        ("order", OperationPolicy(timeout=float("inf")), "timeout = inf; give more"),
        ("order", OperationPolicy(idle=3), "idle = 3 is for streams; give a timeout"),
        ("order", OperationPolicy(attempts=0), "attempts = 0; give at least 1"),
        ("order", OperationPolicy(base=-0.1), "base = -0.1; give 0"),
        ("order", OperationPolicy(cap=float("inf")), "cap = inf; give 0"),
    ],
)
def test_terms_of_an_operation_that_cannot_be_are_refused_before_anything_starts(operation, policy, said):
    policies = {"orders": Policies(operations={operation: policy})}
    with pytest.raises(ConfigurationError, match=rf"\[policies\.orders\.operations\.{operation}\]: {re.escape(said)}"):
        Blueprint(SHOP, Placement(policies=policies))


class Elsewhere:
    class Ordered(Event, package="shop.orders.v1"):
        """Of the same type on the wire, and another class."""

        count: int


class CountService(Service):
    @on(Elsewhere.Ordered)
    async def count(self, event: Elsewhere.Ordered) -> None: ...


class TwiceService(Service):
    @on(Ordered)
    async def take(self, event: Ordered) -> None: ...

    @on(Elsewhere.Ordered)
    async def count(self, event: Elsewhere.Ordered) -> None: ...


@pytest.mark.parametrize("services", [(StockService, CountService), (TwiceService,)])
def test_two_classes_of_events_cannot_have_one_type(services):
    assert "are both the event 'shop.orders.v1.Ordered'; rename one" in refused(*services)


class Shelves(Stock, Protocol, package="shop.shelves.v1"):
    @safe
    async def shelf(self, item: str) -> str: ...


class Racks(Stock, Protocol, package="shop.racks.v1"):
    @safe
    async def rack(self, item: str) -> str: ...


class ShelvesService(Shelves, Service):
    async def left(self, item: str) -> int:
        return 1

    async def shelf(self, item: str) -> str:
        return item


class RacksService(Racks, Service):
    async def left(self, item: str) -> int:
        return 2

    async def rack(self, item: str) -> str:
        return item


def test_the_one_service_of_a_derived_contract_answers_for_the_contract_it_is_derived_from():
    blueprint = Blueprint(System("shop", services=[ShelvesService, OrdersService]))

    assert blueprint.plan.services[1].calls == ("shelves",)
    assert blueprint.operations(Stock)["left"].path == "/shop.shelves.v1.Shelves/Left"
    assert list(blueprint.specs["shelves"].operations) == ["left", "shelf"]


def test_of_several_services_with_a_derived_contract_none_answers_for_it():
    assert refused(ShelvesService, RacksService, OrdersService).startswith("orders asks for Stock, but no service")


def test_a_service_that_lacks_an_inherited_operation_is_named():
    class HalfService(Shelves, Service):
        async def shelf(self, item: str) -> str:
            return item

    assert refused(HalfService) == "HalfService does not implement Shelves.left"
