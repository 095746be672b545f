"""Apps and programs as their author writes them, and as the plan carries them."""

from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from meristem import App, Contract, Program, Service, System
from meristem.errors import ConfigurationError, WiringError
from meristem.system.addresses import edge
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import ProcessTable
from meristem.system.plan import AppPlan, Plan, ProcessPlan, ProgramPlan

BANK = App("bank", "app:create_app()", "/bank", folder=Path("old/bank"), python="python3.9", requirements="bank.txt")
WEB = App("web", "shop.web:app")


class Notes(Contract, Protocol, package="notes.v1"):
    async def count(self) -> int: ...


class NotesService(Notes, Service):
    async def count(self) -> int:
        return 0


def placed(*apps: App, **processes: tuple[str, ...] | ProcessTable) -> Plan:
    placement = Placement(processes=processes) if processes else Placement()
    return Blueprint(System("shop", apps=apps), placement).plan


@pytest.mark.parametrize(
    ("parts", "remedy"),
    [
        ({"apps": [Program("node", ["node"])]}, "give it in programs=[…]"),
        ({"programs": [WEB]}, "give it in apps=[…]"),
        ({"services": [WEB]}, "is no service; give it in apps=[…]"),
        ({"services": [NotesService()]}, "is no service; give its class in services=[…]: NotesService"),
        ({"apps": [NotesService]}, "give it in services=[…]"),
        ({"services": [int]}, "derive its class from Service"),
        ({"apps": [print]}, 'give it a name, in apps=[…]: App("web", …)'),
        ({"apps": ["shop.web:app"]}, 'in apps=[…]: App("web", …)'),
        ({"programs": [["node"]]}, "App(…) in apps=[…] or Program(…) in programs=[…]"),
    ],
)
def test_a_part_in_a_wrong_list_is_told_where_it_belongs(parts: dict[str, Any], remedy: str):
    with pytest.raises(WiringError) as caught:
        System("shop", **parts)

    assert str(caught.value).startswith("shop: ")
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        (App("web", "shop.web"), "'shop.web' names no application; write \"package.module:app\""),
        (App("web", "shop.web:create_app(1)"), "names no application"),
        (App("web", object(), folder="old"), 'with folder= it is imported elsewhere: name it by text, as in "app:app"'),
        (App("web", print, python="python3.9"), "with python= it is imported elsewhere"),
        (App("web", "app:app", requirements=""), "requirements='': write a path"),
        (App("web", "app:app", middleware="shop:Timing"), r"middleware='shop:Timing': write a list, as in middleware="),
        (App("web", "app:app", middleware=["Timing"]), "middleware: 'Timing' takes no application; name a class or"),
        (App("web", "app:app", middleware=[7]), "middleware: 7 takes no application"),
        (App("web", "app:app", timeout=0), "timeout=0: write how many seconds, more than 0"),
        (App("web", "app:app", timeout="5"), "timeout='5': write how many seconds"),
        (App("web", "app:app", mount="shop"), "mount='shop' is no path; write one from the root"),
        (App("web", "app:app", mount="/a/../b"), "mount='/a/../b' is no path"),
        (App("web", "app:app", mount="/a?b"), "mount='/a?b' is no path"),
    ],
)
def test_an_app_that_cannot_be_meant_is_refused_when_the_system_is_defined(app: App, problem: str):
    with pytest.raises(WiringError) as caught:
        System("shop", apps=[app])

    assert str(caught.value).startswith("shop: app 'web': ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (Program("rates", "node main.js"), 'write a list of its words: ["node", "main.js"]'),
        (Program("rates", []), "its command is []; write a list of texts"),
        (Program("rates", ["node"], health="udp"), 'write "tcp", "grpc", or a path'),
        (Program("rates", ["node"], health="health"), 'write "tcp", "grpc", or a path'),
        (Program("rates", ["node"], environment={"PORT": "80"}), "write port=80 for one that is always the same"),
        (Program("rates", ["node"], environment={"A B": "80"}), "'A B' names no variable"),
        (Program("rates", ["node"], environment={"N": 3}), 'N is 3; write it as text: "3"'),  # type: ignore[dict-item]
        (Program("rates", ["node"], port=0), "port=0: write one between 1 and 65535"),
        (Program("rates", ["node"], port=True), "port=True: write one between 1 and 65535"),
        (Program("rates", ["node"], replicas=0), "replicas=0: write how many of it run"),
        (Program("rates", ["node"], port=80, replicas=2), "one port is for one replica"),
        (Program("rates", ["node"], mount="rates"), "mount='rates' is no path"),
        (Program("rates", ["node"], folder=3), "folder=3: write a path"),  # type: ignore[arg-type]
    ],
)
def test_a_program_that_cannot_be_meant_is_refused_when_the_system_is_defined(program: Program, problem: str):
    with pytest.raises(WiringError) as caught:
        System("shop", programs=[program])

    assert str(caught.value).startswith("shop: program 'rates': ")
    assert problem in str(caught.value)


def test_an_app_and_a_program_cannot_share_a_path():
    with pytest.raises(WiringError, match="shop: two parts are mounted at '/a'"):
        System("shop", apps=[App("x", "x:y", mount="/a")], programs=[Program("y", ["y"], mount="/a/")])


def test_the_plan_carries_what_is_said_of_apps_and_programs():
    program = Program("rates", ["node", "{port}"], "grpc", {"A": "b"}, Path("rates"), None, 3, "/rates")
    plan = Blueprint(System("shop", apps=[BANK], programs=[program])).plan

    assert plan.apps == (AppPlan("bank", "app:create_app()", "/bank", "old/bank", "python3.9", "bank.txt"),)
    assert plan.programs == (ProgramPlan("rates", ("node", "{port}"), "grpc", {"A": "b"}, "rates", None, 3, "/rates"),)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_an_app_apart_has_a_process_of_its_own_in_every_placement():
    bank = ProcessPlan("bank", (), ("bank",), python="python3.9", requirements="bank.txt")

    assert placed(BANK, WEB).processes == (ProcessPlan("main", (), ("web",)), bank)
    assert placed(BANK, WEB, edge=("web",)).processes == (ProcessPlan("edge", (), ("web",)), bank)


def test_a_placement_gives_the_process_of_an_app_replicas_and_another_interpreter():
    plan = placed(BANK, WEB, edge=("*",), bank=ProcessTable(("bank",), replicas=2, python="python3.8"))

    assert plan.process_of("bank") == ProcessPlan("bank", (), ("bank",), 2, python="python3.8", requirements="bank.txt")


@pytest.mark.parametrize("processes", [{"edge": ("web", "bank")}, {"bank": ("*",)}, {"b": ("bank",), "edge": ("*",)}])
def test_an_app_apart_among_others_or_under_another_name_is_refused(processes: dict[str, tuple[str, ...]]):
    with pytest.raises(ConfigurationError, match="'bank' has a folder, interpreter or packages of its own") as caught:
        placed(BANK, WEB, **processes)

    assert 'write bank = { services = ["bank"], … } for it, or nothing' in str(caught.value)


def test_what_an_app_has_for_itself_is_no_edge():
    assert edge(placed(App("bank", "app:app", folder="bank"))).name == "main"
