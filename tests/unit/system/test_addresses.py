"""Addresses and start order of a plan, as pure data."""

from pathlib import Path

import pytest

from meristem.discovery.resolver import Resolver
from meristem.errors import ConfigurationError
from meristem.runtime.resolution import resolver_for
from meristem.supervision.start_order import waits
from meristem.system.addresses import (
    app_addresses,
    edge,
    environment_for,
    run_directory,
    service_addresses,
    sockets,
)
from meristem.system.placement import Placement
from meristem.system.placement_tables import Discovery
from meristem.system.plan import AppPlan, Plan, ProcessPlan, ServicePlan


def service(name: str, *calls: str) -> ServicePlan:
    return ServicePlan(name, name, (), (), calls, (), (), False)


SHOP = Plan(
    "shop",
    (service("stock"), service("orders", "stock"), service("mail")),
    (AppPlan("web", "", "/"), AppPlan("bank", "", "/bank")),
    (),
    (
        ProcessPlan("front", ("orders",), ("web",)),
        ProcessPlan("stock", ("stock",), (), replicas=2),
        ProcessPlan("rest", ("mail",), ("bank",), port=8010),
    ),
)
RUN = Path("/run/shop")


def test_each_replica_has_a_socket():
    assert sockets(SHOP, RUN)["stock"] == ("unix:/run/shop/stock-0.sock", "unix:/run/shop/stock-1.sock")
    assert service_addresses(SHOP, RUN)["orders"] == ("unix:/run/shop/front-0.sock",)


def test_sockets_are_in_the_state_directory_unless_their_path_would_be_too_long():
    state, far = Path("/p/.meristem/shop"), Path("/" + "deep/" * 30)

    assert run_directory(state, SHOP) == state / "run"
    short = run_directory(far, SHOP)
    assert short.name.startswith("meristem-")
    assert short == run_directory(far, SHOP)
    assert short != run_directory(far / "x", SHOP)
    assert len(str(short / "front-0.0000000.sock")) < 100


def test_the_edge_hosts_the_root_or_any_app_or_is_the_first():
    def with_apps(*apps: AppPlan) -> Plan:
        hosted = [each.name for each in apps]
        processes = (ProcessPlan("one", (), ()), ProcessPlan("two", (), tuple(hosted)))
        return Plan("shop", (), apps, (), processes)

    assert edge(SHOP).name == "front"
    assert edge(with_apps(AppPlan("bank", "", "/bank"))).name == "two"
    assert edge(with_apps()).name == "one"


def test_apps_are_behind_the_edge_or_at_the_port_of_their_process():
    assert app_addresses(SHOP, "http://127.0.0.1:8000") == {
        "web": "http://127.0.0.1:8000",
        "bank": "http://127.0.0.1:8010/bank",
    }


def test_hosted_apps_find_every_part_in_their_environment():
    assert environment_for(SHOP, "http://[::1]:8000") == {
        "WEB_URL": "http://[::1]:8000",
        "BANK_URL": "http://[::1]:8010/bank",
        "ORDERS_URL": "http://[::1]:8000",
        "STOCK_URL": "http://[::1]:8000",
        "MAIL_URL": "http://[::1]:8010",
    }


def test_a_process_waits_for_those_it_calls_and_the_edge_for_all():
    assert waits(SHOP) == {"front": {"stock", "rest"}, "stock": frozenset(), "rest": frozenset()}


def test_whoever_calls_the_edge_is_not_waited_for_by_it():
    shop = Plan(
        "shop",
        (service("a"), service("b", "a"), service("c")),
        (),
        (),
        (ProcessPlan("edge", ("a",), ()), ProcessPlan("two", ("b",), ()), ProcessPlan("three", ("c",), ())),
    )

    assert waits(shop) == {"edge": {"three"}, "two": {"edge"}, "three": frozenset()}


def test_processes_that_call_each_other_do_not_wait_for_each_other():
    shop = Plan(
        "shop",
        (service("z"), service("a", "c"), service("b"), service("c", "b", "z")),
        (),
        (),
        (ProcessPlan("one", ("a", "b"), ()), ProcessPlan("two", ("c",), ()), ProcessPlan("three", ("z",), ())),
    )

    assert waits(shop) == {"one": {"three"}, "two": {"three"}, "three": frozenset()}


def found(placement: Placement, run: Path | None = RUN, **environment: str) -> Resolver:
    return resolver_for(SHOP, placement, "front", environment=environment, run=run)


def test_a_process_finds_others_at_the_sockets_of_its_supervisor():
    resolver = found(Placement())

    assert resolver.addresses("stock") == ("unix:/run/shop/stock-0.sock", "unix:/run/shop/stock-1.sock")
    assert not resolver.knows("orders")


def test_a_variable_is_stronger_than_the_placement_and_that_than_the_supervisor():
    dns = Placement(discovery=Discovery(dns="{service}.{process}.{system}:80"))
    resolver = found(dns, STOCK_URL="http://10.0.0.1:80")

    assert resolver.addresses("stock") == ("tcp://10.0.0.1:80",)
    assert resolver.knows("mail")
    assert resolver.addresses("mail") == ()


def test_a_name_with_an_unknown_part_is_refused():
    with pytest.raises(ConfigurationError, match=r"write \{service\}"):
        found(Placement(discovery=Discovery(dns="{pod}.shop:80")))
