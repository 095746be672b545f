"""Addresses and start order of a plan, as pure data."""

from pathlib import Path

import pytest

from meristem.discovery.resolver import Resolver
from meristem.errors import ConfigurationError
from meristem.runtime.resolution import resolver_for
from meristem.supervision.start_order import in_order, waits
from meristem.system.addresses import (
    app_addresses,
    edge,
    environment_for,
    part_addresses,
    run_directory,
    service_addresses,
    sockets,
    with_edge,
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


def with_apps(*apps: AppPlan, named: str = "three") -> Plan:
    hosted = [each.name for each in apps]
    processes = (ProcessPlan("one", (), ()), ProcessPlan("two", (), tuple(hosted)), ProcessPlan(named, (), ()))
    return Plan("shop", (), apps, (), processes)


def test_the_edge_hosts_the_root_or_is_named_so_or_is_one_process_more():
    root, bank = AppPlan("web", "", "/"), AppPlan("bank", "", "/bank")

    assert edge(with_edge(with_apps(root))).name == "two"
    assert edge(with_edge(with_apps(root, named="edge"))).name == "two"
    assert edge(with_edge(with_apps(bank, named="edge"))) == ProcessPlan("edge", (), ())
    assert len(with_edge(with_apps(bank, named="edge")).processes) == 3
    added = with_edge(with_apps(bank))
    assert [each.name for each in added.processes] == ["one", "two", "three", "edge"]
    assert edge(added) == ProcessPlan("edge", (), ())


def test_a_process_alone_is_its_own_edge():
    alone = Plan("shop", (), (), (), (ProcessPlan("main", (), ()),))

    assert with_edge(alone) == alone
    assert edge(alone).name == "main"


def test_apps_are_behind_the_edge_wherever_they_live():
    assert app_addresses(SHOP, "http://127.0.0.1:8000") == {
        "web": "http://127.0.0.1:8000",
        "bank": "http://127.0.0.1:8000/bank",
    }


def test_hosted_apps_find_every_part_in_their_environment():
    assert environment_for(part_addresses(SHOP, "http://[::1]:8000", {"ratings": (4711, 4712)})) == {
        "RATINGS_URL": "http://127.0.0.1:4711,http://127.0.0.1:4712",
        "WEB_URL": "http://[::1]:8000",
        "BANK_URL": "http://[::1]:8000/bank",
        "ORDERS_URL": "http://[::1]:8000",
        "STOCK_URL": "http://[::1]:8000",
        "MAIL_URL": "http://[::1]:8000",
    }


def test_a_process_waits_for_those_it_calls_and_one_with_apps_for_all_that_have_none_and_the_edge_for_all():
    assert waits(SHOP) == {"front": {"stock", "rest"}, "stock": frozenset(), "rest": {"stock"}}


def test_processes_with_apps_never_wait_for_each_other_in_a_circle():
    """By calls `y` waits for `h2` and `z` for `h1`; their apps alone would have `h1` wait for `y` and `h2` for `z`."""
    apps = (AppPlan("web", "", "/"), AppPlan("bank", "", "/bank"), AppPlan("till", "", "/till"))
    shop = Plan(
        "shop",
        (service("a"), service("b"), service("c", "b"), service("d", "a")),
        apps,
        (),
        (
            ProcessPlan("edge", (), ("web",)),
            ProcessPlan("h1", ("a",), ("bank",)),
            ProcessPlan("h2", ("b",), ("till",)),
            ProcessPlan("y", ("c",), ()),
            ProcessPlan("z", ("d",), ()),
        ),
    )

    assert waits(shop) == {
        "edge": {"h1", "h2", "y", "z"},
        "h1": {"y", "h2"},
        "h2": frozenset(),
        "y": {"h2"},
        "z": {"h1", "y", "h2"},
    }
    assert list(in_order(waits(shop))) == ["h2", "y", "h1", "z", "edge"]


def test_an_edge_of_its_own_is_called_by_nobody_and_waits_for_all():
    processes = (ProcessPlan("stock", ("stock",), ()), ProcessPlan("rest", ("orders", "mail"), ()))
    shop = with_edge(Plan("shop", SHOP.services, (), (), processes))

    assert waits(shop) == {"stock": frozenset(), "rest": {"stock"}, "edge": {"stock", "rest"}}


def test_whoever_calls_the_edge_is_not_waited_for_by_it():
    shop = Plan(
        "shop",
        (service("a"), service("b", "a"), service("c")),
        (AppPlan("web", "", "/"),),
        (),
        (ProcessPlan("edge", ("a",), ("web",)), ProcessPlan("two", ("b",), ()), ProcessPlan("three", ("c",), ())),
    )

    assert waits(shop) == {"edge": {"three"}, "two": {"edge", "three"}, "three": frozenset()}


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
