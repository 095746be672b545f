"""A plan as the map of the dashboard has it."""

from __future__ import annotations

from msgspec.structs import replace

from meristem.events.policy import DeliveryPolicy
from meristem.system.placement import Placement
from meristem.system.placement_tables import EventsTable, EventSubscriber, Resources
from meristem.system.plan import AppPlan, ExternalPlan, Plan, ProcessPlan, ProgramPlan, ServicePlan
from meristem.system.system_map import system_parts

HEARS = {"shop.orders.v1.OrderPlaced": DeliveryPolicy()}


def service(name, contract, *, calls=(), hears=None, database=True, asks=()):
    contracts = {contract: f"shop:{contract}"} if contract else {}
    return ServicePlan(
        name=name, target=f"shop:{name}", contracts=contracts, operations=(), calls=calls, hears=hears or {}, sagas=(),
        database=database, asks=asks,
    )  # fmt: skip


PLAN = Plan(
    system="shop",
    services=(
        service("stock", "shop.stock.v1.Stock", database=False),
        service("orders", "shop.orders.v1.Orders", calls=("stock",), asks=("bank.v1.Bank",)),
        service("mail", "", hears=HEARS),
    ),
    apps=(),
    programs=(),
    processes=(ProcessPlan("main", ("stock", "orders", "mail"), ()),),
    external=(ExternalPlan("bank", "bank.v1.Bank", "bank:Bank"),),
)


def edges(placement):
    return {(each.source, each.target, each.kind) for each in system_parts(PLAN, placement).edges}


def test_apps_and_programs_that_settings_name_are_called():
    shop = replace(service("shop", "shop.v1.Shop", database=False), uses=("bank", "ratings", "gone"))
    apps = (AppPlan("bank", "bank:app", "/bank", uses=("ratings", "bank")),)
    plan = replace(PLAN, services=(shop,), apps=apps, programs=(ProgramPlan("ratings", ("ratings",)),), external=())

    assert [(each.source, each.target, each.kind) for each in system_parts(plan, Placement()).edges] == [
        ("service:shop", "app:bank", "call"), ("service:shop", "program:ratings", "call"),
        ("app:bank", "program:ratings", "call"),
    ]  # fmt: skip


def test_calls_statements_and_events_are_edges():
    assert edges(Placement()) == {
        ("service:orders", "service:stock", "call"),
        ("service:orders", "external:bank", "call"),
        ("service:orders", "database:orders", "data"),
        ("service:mail", "database:mail", "data"),
        ("service:orders", "service:mail", "event"),
    }


def test_a_broker_stands_between_and_no_place_tells_a_password():
    url = "nats://shop:secret@broker:4222?prefix=x"
    placement = Placement(resources=Resources(database="postgresql://app:secret@db:5432/{service}", bus=url))
    found = edges(placement)
    assert {("service:orders", "bus", "event"), ("bus", "service:mail", "event")} <= found
    assert ("service:orders", "service:mail", "event") not in found
    places = {each.id: each.detail for each in system_parts(PLAN, placement).nodes}
    assert (places["bus"], places["database:orders"]) == ("nats at broker:4222", "PostgreSQL at db:5432")


def test_who_hears_outside_is_on_the_map():
    heard = EventSubscriber(url="https://crm.example/hooks", types=("shop.orders.v1.*",))
    other = EventSubscriber(url="https://erp.example/hooks", types=("shop.stock.v1.Counted",))
    found = edges(Placement(events=EventsTable({"crm": heard, "erp": other})))
    assert ("service:orders", "external:crm", "event") in found
    assert not any(target == "external:erp" for _, target, _ in found)  # nothing can be published without a database
