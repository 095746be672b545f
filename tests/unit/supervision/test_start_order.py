"""Programs take part in the order of the start: those who are called first."""

from meristem import App, Program, Service, Settings, System
from meristem.supervision.start_order import waits
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement


class RatesSettings(Settings):
    url: str = "app://rates/v1"


class Orders(Service, name="orders"):
    def __init__(self, settings: RatesSettings) -> None: ...


class Mail(Service, name="mail"): ...


RATES = Program("rates", ["x"])
SPLIT = Placement(processes={"edge": ("web",), "orders": ("orders",), "mail": ("mail",)})


def order(*programs: Program, placement: Placement = SPLIT) -> dict[str, set[str]]:
    system = System("shop", services=[Orders, Mail], apps=[App("web", "x:y")], programs=[RATES, *programs])
    return {name: set(others) for name, others in waits(Blueprint(system, placement).plan).items()}


def test_a_service_whose_setting_names_a_program_starts_after_it():
    assert order()["orders"] >= {"rates"}
    assert order()["rates"] == {"mail"}  # the edge waits for orders, and so by orders for rates


def test_a_setting_that_a_placement_writes_counts_too():
    placement = Placement(processes=SPLIT.processes, settings={"mail": {"url": "app://rates"}})

    assert "rates" in order(placement=placement)["mail"]


def test_an_app_whose_settings_in_a_placement_name_a_program_starts_after_it():
    apart = Placement(
        processes={**SPLIT.processes, "web": ("web",), "edge": ()}, settings={"web": {"url": "app://rates"}}
    )

    assert "rates" in order(placement=apart)["web"]
    assert "rates" not in order(placement=Placement(processes=apart.processes))["mail"]


def test_a_program_starts_after_those_that_it_names_and_after_all_that_do_not_wait_for_it():
    other = Program("other", ["x", "{rates.url}"])

    assert order(other)["other"] == {"edge", "orders", "mail", "rates"}


def test_the_edge_starts_after_what_is_mounted_there():
    shown = Program("shown", ["x"], mount="/shown")

    assert "shown" in order(shown)["edge"]
    assert "edge" not in order(shown)["shown"]


def test_two_programs_that_name_each_other_start_together():
    first, second = Program("first", ["x", "{second.url}"]), Program("second", ["x", "{first.url}"])
    found = order(first, second)

    assert "second" not in found["first"]
    assert "first" not in found["second"]
