"""The verbs of the command, each as a process of its own in a small project."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner

from meristem.cli.main import meristem as commands

from .conftest import PATIENCE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_service_in_one_file_runs_answers_and_ends_when_what_is_in_flight_is_answered(start, number):
    running = await start("run", "hello.py", "--port", "0")
    address = (await running.shows("hello runs at ")).split()[0]
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as browser:
        assert (await browser.get("/api/hello/Ada")).json() == "Hello, Ada!"
        slow = asyncio.ensure_future(browser.get("/api/slow"))
        await running.shows("slow began")
        running.process.send_signal(number)
        answer = await slow

    assert (answer.status_code, answer.json()) == (200, "finished")
    assert await running.ended() == 0
    assert "Stopped." in running.text
    assert "Traceback" not in running.text


STUBBORN = """
import asyncio
from typing import Protocol
from meristem import Contract, Service, safe

class Mule(Contract, Protocol, package="mule.v1"):
    @safe(http="GET /stay", timeout=60.0)
    async def stay(self) -> None: ...

class MuleService(Mule, Service):
    async def stay(self) -> None:
        while True:
            try:
                print("stays", flush=True)
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
"""


async def test_a_second_signal_ends_at_once_what_nothing_else_does(start, project: Path):
    (project / "mule.py").write_text(STUBBORN)
    running = await start("run", "mule.py", "--port", "0")
    address = (await running.shows("mule runs at ")).split()[0]
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as browser:
        asked = asyncio.ensure_future(browser.get("/api/stay"))
        await running.shows("stays")
        running.process.terminate()
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(httpx.TransportError):
            await asked

    assert await running.ended() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert "ended at once" in running.text


BRIEF = """
import asyncio, sys
from pathlib import Path
import mule
from meristem import System
from meristem.cli.serving import run_on_loop
from meristem.runtime.options import Options
from meristem.runtime.listen import Listen
from meristem.runtime.process import Process, serve
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint

made = Process(
    Blueprint(System("mule", services=[mule.MuleService])), "main", options=Options(directory=Path.cwd()),
    listen=[Listen("tcp://127.0.0.1:0", public=True)], tokens=Tokens(new_secret()),
)
run_on_loop(serve(made, lambda served: print("at", served.addresses[0], flush=True), grace=0.01))
"""


async def test_a_method_that_ignores_its_cancellation_is_named_and_keeps_no_process(start, project: Path):
    (project / "mule.py").write_text(STUBBORN)
    (project / "brief.py").write_text(BRIEF)
    running = await start(program="brief.py")
    address = (await running.shows("at tcp:")).split()[0]
    async with httpx.AsyncClient(base_url=f"http:{address}", timeout=PATIENCE) as browser:
        asked = asyncio.ensure_future(browser.get("/api/stay"))
        await running.shows("stays")
        running.process.terminate()
        with pytest.raises(httpx.TransportError):
            await asked

    assert await running.ended() == 1
    assert "ignores that it was cancelled, in MuleService.stay (" in running.text


async def test_a_change_of_code_starts_the_system_again(start, project: Path):
    running = await start("run", "hello.py", "--port", "0", "--reload")
    await running.shows("hello runs at ")
    running.text = ""
    (project / "uploads.log").write_text("no code: nothing happens")
    text = (project / "hello.py").read_text().replace("Hello, {name}", "Good day, {name}")
    (project / "hello.py").write_text(text)
    address = (await running.shows("hello runs at ")).split()[0]
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as browser:
        assert (await browser.get("/api/hello/Ada")).json() == "Good day, Ada!"
    assert "hello.py changed; starting again" in running.text
    running.process.send_signal(signal.SIGINT)

    assert await running.ended() == 0


async def test_code_that_cannot_start_is_waited_for_until_it_is_mended(start, project: Path):
    sound = (project / "hello.py").read_text()
    (project / "hello.py").write_text("this is no Python")
    running = await start("run", "hello.py", "--port", "0", "--reload")
    await running.shows("hello.py")
    (project / "hello.py").write_text(sound)
    await running.shows("hello runs at ")
    running.process.send_signal(signal.SIGTERM)

    assert await running.ended() == 0


SLOW_TO_END = """
import asyncio
from typing import Protocol
from meristem import Contract, Service, System, operation

class Slow(Contract, Protocol, package="slow.v1"):
    @operation
    async def wait(self) -> None: ...

class SlowService(Slow, Service):
    async def wait(self) -> None: ...
    async def stop(self) -> None:
        await asyncio.sleep(2)
        print("ended in peace")

system = System("slow", services=[SlowService])
"""
IMPATIENT = """
import meristem.cli.reloading
from meristem.cli.main import main
meristem.cli.reloading.ENDING = 0.1
main()
"""


async def test_a_placed_system_has_the_time_that_its_processes_need_to_end(start, project: Path):
    """A supervisor that was killed after the time of one process would leave the others as orphans."""
    (project / "slow.py").write_text(SLOW_TO_END)
    (project / "slow.toml").write_text('[processes]\nrest = ["*"]\n')
    (project / "impatient.py").write_text(IMPATIENT)
    placed = ("--placement", "slow.toml", "--port", "0")
    running = await start("run", "slow.py", *placed, "--reload", program="impatient.py")
    await running.shows("slow runs at ")
    running.process.send_signal(signal.SIGINT)

    assert await running.ended() == 0
    assert "ended in peace" in running.text


async def test_a_second_run_in_the_folder_is_refused_and_may_go_well_another_time(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    second = await meristem("run", "--port", "0")

    assert second.code == os.EX_TEMPFAIL
    assert f"shop already runs from {Path.cwd().anchor}" in second.err
    assert "Traceback" not in second.err


async def test_what_runs_from_a_folder_is_shown_there_though_nothing_names_a_system(start, meristem, project: Path):
    (project / "pyproject.toml").unlink()
    nothing = await meristem("ps")
    assert (nothing.code, "which system?" in nothing.err) == (1, True)
    running = await start("run", "hello.py", "--port", "0")
    await running.shows("hello runs at ")

    assert [each["state"] for each in (await meristem("ps", "--json")).json] == ["ready"]
    assert (await meristem("reload")).err.startswith("error: no supervised system runs from here")


async def test_processes_of_two_systems_of_a_folder_are_told_apart(start, meristem):
    for named in (["shop.py"], ["hello.py"]):
        running = await start("run", *named, "--port", "0")
        await running.shows(" runs at ")

    table = (await meristem("ps")).out.splitlines()

    assert table[0].split()[:2] == ["system", "process"]
    assert [line.split()[:2] for line in table[1:3]] == [["hello", "main"], ["shop", "main"]]
    assert [each["system"] for each in (await meristem("ps", "--json")).json] == ["hello", "shop"]


async def test_of_two_supervised_systems_of_a_folder_the_one_that_is_named_is_started_anew(start, meristem, project):
    for named in ("shop", "hello"):
        (project / f"{named}.toml").write_text('[processes]\nrest = ["*"]\n')
        running = await start("run", f"{named}.py", "--placement", f"{named}.toml", "--port", "0")
        await running.shows(" runs at ")
    before = {each["system"]: each["pid"] for each in (await meristem("ps", "--json")).json}

    unnamed, wrong = await meristem("reload"), await meristem("reload", "--name", "shops")
    done = await meristem("reload", "--name", "hello", "--wait")
    after = {each["system"]: each["pid"] for each in (await meristem("ps", "--json")).json}

    assert unnamed.code == wrong.code == 2
    assert "several systems run from here: give one with --name (hello, shop)" in " ".join(unnamed.err.split())
    assert "no supervised system 'shops' runs from here; did you mean 'shop'?" in " ".join(wrong.err.split())
    assert done.code == 0, done.err
    assert after["shop"] == before["shop"]
    assert after["hello"] != before["hello"]


async def test_a_running_system_is_called_and_looked_into(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")

    ordered = await meristem("call", "orders.order", '{"item": "tea", "gift": true}', "--key", "k-1")
    assert (ordered.code, ordered.json) == (0, "tea wrapped")
    counted = await meristem("call", "Orders.count", '{"to": 3}')
    assert counted.out.split() == ["0", "1", "2"]
    refused = await meristem("call", "orders.refuse")
    assert (refused.code, refused.err) == (1, "error: Refused: The shop is closed. (until='Monday')\n")
    wrong = await meristem("call", "orders.order", '{"item": 3}')
    assert wrong.code == 2
    assert "Invalid value for JSON: item: expected `str`, got `int`" in wrong.err

    listed = await meristem("sagas", "list", "--json")
    [saga] = listed.json["orders"]
    assert (saga["name"], saga["state"]) == ("order", "done")
    shown = await meristem("sagas", "show", saga["id"], "--json", "--values")
    assert shown.json["saga"]["id"] == saga["id"]
    retried = await meristem("sagas", "retry", saga["id"])
    assert retried.code == 2
    assert "Traceback" not in retried.err
    table = await meristem("sagas", "list")
    assert saga["id"] in table.out
    unknown = await meristem("sagas", "show", "nothing")
    assert (unknown.code, unknown.out) == (2, "")
    assert "SAGA_ID: no service has a saga of this id; `meristem sagas list` shows them\n" in unknown.err


WHO = """
from typing import Protocol
from meristem import Contract, Identity, Service, System, safe
from meristem.context import current

class Who(Contract, Protocol, package="who.v1"):
    @safe(http="GET /who", authenticated=True, timeout=60.0)
    async def am_i(self) -> str: ...
    @safe(timeout=60.0)
    async def inside(self) -> str: ...

class WhoService(Who, Service):
    async def am_i(self) -> str:
        return current().user.subject
    async def inside(self) -> str:
        return "inside"

async def authenticate(token):
    return Identity("ada") if token == "good" else None

system = System("who", services=[WhoService], authenticate=authenticate)
"""


async def test_a_call_is_made_as_who_has_a_token_and_with_header_fields_of_ones_own(start, meristem, project: Path):
    (project / "who.py").write_text(WHO)
    running = await start("run", "who.py", "--port", "0")
    await running.shows("who runs at ")

    async def told(*options: str, operation: str = "who.am_i") -> tuple[int, str]:
        ended = await meristem("call", "--system", "who.py", operation, *options)
        return ended.code, (ended.out or ended.err).strip()

    assert await told("--token", "good") == (0, '"ada"')
    assert await told("--header", "authorization: Bearer good", "--header", "X-Region: eu") == (0, '"ada"')
    code, said = await told("--token", "bad")
    assert (code, "[unauthenticated]" in said) == (1, True)
    code, said = await told(
        "--token", "good", operation="who.inside"
    )  # as from outside: the folder's secret is not used
    assert (code, "[permission_denied]" in said) == (1, True)
    assert await told(operation="who.inside") == (0, '"inside"')
    for options, why in (
        (("--token", "good", "--user", "bob"), "--user and --token each say who calls; give one"),
        (("--header", "region"), "region has no colon: write 'Name: value'"),
        (("--token", "good", "--header", "Authorization: Bearer bad"), "authorization is given twice"),
        (("--header", "Host: evil"), "the header field 'host' is written by the client itself"),
        (("--token", "a\nb: c"), "is no header field"),
    ):
        code, said = await told(*options)
        assert (code, why in said) == (2, True), said


GUIDED = """
from enum import Enum
from typing import Protocol
from meristem import Contract, Message, Service, System, Travelling, safe

class Plan(Enum):
    FREE = "free"
    GOLD = "gold"

class Tenant(Message):
    name: str

Locale = Travelling[str]("locale", default="en", public=True)
Renting = Travelling[Tenant]("tenant")
Paying = Travelling[Plan]("plan", default=Plan.FREE)

class Guide(Contract, Protocol, package="guided.v1"):
    @safe(http="GET /seen", timeout=60.0)
    async def seen(self) -> list[str]: ...

class GuideService(Guide, Service):
    async def seen(self) -> list[str]:
        tenant = Renting.get(None)
        return [Locale.get(), tenant.name if tenant else "", Paying.get().value]

system = System("guided", services=[GuideService])
"""


async def test_a_call_sets_values_that_travel(start, meristem, project: Path):
    (project / "guided.py").write_text(GUIDED)
    running = await start("run", "guided.py", "--port", "0")
    await running.shows("guided runs at ")

    async def told(*options: str) -> tuple[int, str]:
        ended = await meristem("call", "--system", "guided.py", "guide.seen", *options)
        return ended.code, "".join((ended.out or ended.err).split())

    every = ("locale=pt, 100 % = ü", 'tenant={"name": "a,b"}', "plan=gold")
    assert await told() == (0, '["en","","free"]')
    assert await told(*(each for value in every for each in ("--travelling", value))) == (
        0,
        '["pt,100%=ü","a,b","gold"]',
    )
    assert await told("--token", "x", "--travelling", "locale=pt") == (0, '["pt","","free"]')
    for options, why in (
        (("--travelling", "local=pt"), "no value travels as 'local'; did you mean 'locale'?"),
        (("--travelling", "x=pt"), "no value travels as 'x'; there are locale, plan, tenant"),
        (("--travelling", "locale"), "'locale' has no value: write name=value"),
        (("--travelling", "locale=pt", "--travelling", "locale=de"), "locale is given twice"),
        (("--travelling", "plan=silver"), "plan: invalid enum value 'silver'"),
        (("--travelling", "tenant=acme"), "tenant: "),
        (("--token", "x", "--travelling", "plan=gold"), "plan is not public: only the system sets it"),
    ):
        code, said = await told(*options)
        assert (code, "".join(why.split()) in said) == (2, True), said


async def test_only_a_call_that_may_go_well_another_time_ends_with_the_code_that_says_so(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    expected = {
        "unavailable": 75, "deadline_exceeded": 75, "resource_exhausted": 75, "aborted": 75,
        "not_found": 1, "failed_precondition": 1, "internal": 1,
    }  # fmt: skip

    ended = {code: await meristem("call", "orders.fail", f'{{"code": "{code}"}}') for code in expected}

    assert {code: each.code for code, each in ended.items()} == expected
    assert {each.err for each in ended.values()} == {f"error: [{code}] as asked\n" for code in expected}


async def test_dead_letters_are_shown_and_delivered_again(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    await meristem("call", "orders.sell", '{"item": "ink"}')
    await running.shows("heard ink")
    await running.shows("dead")

    dead = await meristem("events", "dead", "--json")
    [letter] = dead.json["orders"]
    assert (letter["type"], letter["subscriber"]) == ("shop.orders.v1.Sold", "post")
    assert "no pen" in letter["error"]
    running.text = ""
    redriven = await meristem("events", "redrive", "--all", "--json")
    assert redriven.json == {"orders": 1, "post": 0}
    await running.shows("heard ink")


async def test_a_system_that_never_ran_has_no_dead_letters(meristem):
    dead = await meristem("events", "dead", "--json")

    assert (dead.code, dead.json) == (0, {"orders": [], "post": []}), dead.err


async def test_what_waits_for_a_subscriber_is_given_up_only_when_that_has_left_the_system(start, meristem, project):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    await meristem("call", "orders.sell", '{"item": "ink"}')
    await running.shows("dead")
    running.process.send_signal(signal.SIGINT)
    await running.ended()
    redriven = await meristem("events", "redrive", "--all")  # now it waits: nothing runs

    assert redriven.out.strip() == "1 event to be delivered again.", redriven.err
    kept = await meristem("events", "discard", "--subscriber", "post", "--json")
    text = (project / "shop.py").read_text().replace("    @on(Sold)\n", "")
    (project / "shop.py").write_text(text)
    given_up = await meristem("events", "discard", "--subscriber", "post", "--json")

    assert kept.json == {"orders": 0, "post": 0}
    assert given_up.json == {"orders": 1}  # the other keeps nothing any more


async def test_a_saga_that_cannot_be_changed_as_it_is_is_a_wrong_argument(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    await meristem("call", "orders.order", '{"item": "ink"}')
    [saga] = (await meristem("sagas", "list", "--json")).json["orders"]

    ended = {verb: await meristem("sagas", verb, saga["id"], "--json") for verb in ("show", "retry", "cancel")}

    assert {verb: each.code for verb, each in ended.items()} == {"show": 0, "retry": 2, "cancel": 2}
    assert "cannot be retried: it is done, only a parked saga waits for that" in ended["retry"].err
    assert "cannot be cancelled: it is done" in ended["cancel"].err
    assert ended["retry"].out == ended["cancel"].out == ""


async def test_a_graph_is_drawn_as_tree_json_and_mermaid(meristem):
    plan = (await meristem("graph", "--json")).json
    assert [each["name"] for each in plan["services"]] == ["post", "orders"]
    assert plan["services"][1]["calls"] == ["post"]
    mermaid = (await meristem("graph", "--mermaid")).out.splitlines()
    assert mermaid[0] == "flowchart LR"
    assert {"  orders --> post", "  orders -. Sold .-> post"} <= set(mermaid)
    tree = await meristem("graph")
    assert tree.code == 0
    assert "hears Sold" in tree.out


async def test_a_graph_shows_what_a_service_does_again_and_again(meristem, project: Path):
    (project / "garden.py").write_text(
        "from typing import Protocol\nfrom meristem import Contract, Service, every, safe\n"
        "class Garden(Contract, Protocol, package='garden.v1'):\n    @safe\n    async def dry(self) -> bool: ...\n"
        "class GardenService(Garden, Service):\n    async def dry(self) -> bool: return True\n"
        "    @every(seconds=60.0)\n    async def water(self) -> None: ...\n"
        "    @every(seconds=0.5, each=True)\n    async def look(self) -> None: ...\n"
    )
    [garden] = (await meristem("graph", "garden.py", "--json")).json["services"]
    tree = (await meristem("graph", "garden.py")).out

    assert garden["scheduled"] == [
        {"name": "look", "seconds": 0.5, "each": True}, {"name": "water", "seconds": 60.0, "each": False},
    ]  # fmt: skip
    assert "runs water every 60 s\n" in tree
    assert "runs look every 0.5 s, in each replica" in tree


async def test_the_routes_of_a_graph_stand_in_one_column(meristem, project: Path):
    (project / "inn.py").write_text(
        "from typing import Protocol\nfrom meristem import Contract, Service, safe\n"
        "class Inn(Contract, Protocol, package='inn.v1'):\n"
        "    @safe(http='GET /a')\n    async def a(self) -> str: ...\n"
        "    @safe(http='GET /rooms')\n    async def vacant_rooms(self) -> str: ...\n"
        "class InnService(Inn, Service):\n"
        "    async def a(self) -> str: return ''\n    async def vacant_rooms(self) -> str: return ''\n"
    )
    lines = (await meristem("graph", "inn.py")).out.splitlines()
    assert len({line.index("GET") for line in lines if "GET" in line}) == 1


async def test_migrations_are_written_applied_and_checked(meristem, project: Path):
    written = await meristem("migrate", "--new", "first", "--service", "orders")
    assert written.code == 0, written.err
    assert len(list((project / "migrations" / "versions").glob("*.py"))) == 1
    assert (await meristem("migrate", "--check", "--json")).code == 1
    applied = await meristem("migrate", "--json")
    first = ["lease 001_tables", "lease 002_crashes", "declared 001_tables", "events 001_tables"]
    assert applied.json["orders"][:4] == first
    checked = await meristem("migrate", "--check")
    assert (checked.code, checked.out.split()[0]) == (0, "service"), "nothing is pending, so no title says so"
    unsaid = await meristem("migrate", "--new", "", "--service", "orders")
    assert (unsaid.code, "--new says what the migration does" in unsaid.err) == (2, True)


@pytest.mark.parametrize(
    "looking", [("migrate", "--check"), ("migrate", "--plan"), ("events", "dead"), ("sagas", "list")], ids=" ".join
)
async def test_what_only_looks_makes_no_database(meristem, project: Path, looking: tuple[str, ...]):
    looked = await meristem(*looking)

    assert looked.code == (1 if "--check" in looking else 0), looked.err
    assert "lease 001_tables" in looked.out or looking[0] != "migrate"
    assert not list(project.rglob("*.db*"))  # noqa: ASYNC240 - a folder of a test


async def test_tables_that_no_revision_makes_are_found_by_the_check_and_told_at_a_start(meristem, start, project: Path):
    await meristem("migrate", "--new", "first", "--service", "orders")
    await meristem("migrate")
    shop = project / "shop.py"
    shop.write_text(shop.read_text().replace("primary_key=True))", 'primary_key=True), Column("weight", Integer))'))

    checked = await meristem("migrate", "--check")
    running = await start("run", "--port", "0")

    assert (checked.code, "column items.weight is only in `tables=`" in checked.out) == (1, True)
    await running.shows("database 'orders' is not as `tables=` says: column items.weight is only in `tables=`")
    await running.shows("shop runs at")


async def test_a_migration_that_cannot_succeed_is_told_by_its_line_and_in_one_sentence(meristem, project: Path):
    await meristem("migrate", "--new", "first", "--service", "orders")
    [first] = (project / "migrations" / "versions").glob("*.py")
    first.write_text(first.read_text().replace("def upgrade", "def more():\n    pass\n\n\ndef upgrade", 1))
    text = first.read_text()
    first.write_text(text.replace("    op.create_table", "    op.drop_table('chairs')\n    op.create_table", 1))

    for verb in (["migrate"], ["run", "--port", "0"]):
        ended = await meristem(*verb)
        assert ended.code == 1, ended.err
        assert "OperationalError: no such table: chairs (" in ended.err
        assert f"{first}:" in ended.err
        assert "    op.drop_table('chairs')\n" in ended.err
        assert [each.startswith("error: ") for each in ended.err.splitlines()].count(True) == 1
        assert "src/meristem" not in ended.err


async def test_a_plan_tells_what_the_running_release_does_not_survive_and_that_is_asked_for(meristem, project: Path):
    new = await meristem("migrate", "--plan", "--service", "orders")
    assert (new.code, "of the framework's own tables: lease 001_tables, " in new.out) == (0, True)
    await meristem("migrate", "--new", "first", "--service", "orders")
    await meristem("migrate", "--service", "orders")
    versions = project / "migrations" / "versions"
    [first] = versions.glob("*.py")
    revision = first.stem.partition("_")[0]
    body = "\n    from alembic import op\n    op.drop_table('items')"
    text = REVISION.format(name="less", before=revision, compatible=True).replace("\n    pass", body)
    (versions / "less.py").write_text(text)

    planned = await meristem("migrate", "--plan", "--service", "orders")
    as_data = await meristem("migrate", "--plan", "--service", "orders", "--json")
    refused = await meristem("migrate", "--service", "orders")

    assert [each.code for each in (planned, as_data, refused)] == [1, 1, 1]
    assert "  less  UNSAFE\n\n    DROP TABLE items\n      unsafe: drops the table items\n" in planned.out
    assert "it is marked `compatible = True`, and is not" in " ".join(planned.out.split())
    assert planned.out.endswith("\n1 of them must be asked for: `meristem migrate --unsafe`.\n")
    [less] = as_data.json["orders"]
    assert (less["verdict"], less["needs_unsafe"], less["steps"][0]["statements"]) == (
        "unsafe",
        True,
        ["DROP TABLE items"],
    )
    assert "it drops the table items; `meristem migrate --plan` tells what to do instead" in refused.err
    assert (await meristem("migrate", "--service", "orders", "--unsafe", "--json")).json == {"orders": ["less"]}
    assert "orders: up to date" in (await meristem("migrate", "--plan", "--service", "orders")).out
    assert (await meristem("migrate", "--plan", "--unsafe")).code == 2


REVISION = """
revision = "{name}"
down_revision = "{before}"
compatible = {compatible}

def upgrade():
    pass
"""


async def test_a_release_is_rolled_back_over_what_is_compatible_and_refused_over_what_is_not(meristem, project: Path):
    await meristem("migrate", "--new", "first", "--service", "orders", "--compatible")
    versions = project / "migrations" / "versions"
    [first] = versions.glob("*.py")
    assert "compatible = True" in first.read_text()
    before = (await meristem("migrate", "--json")).json["orders"][-1]

    for name, compatible in (("expand", True), ("contract", False)):
        newer = versions / f"{name}.py"
        newer.write_text(REVISION.format(name=name, before=before, compatible=compatible))
        assert (await meristem("migrate", "--json")).json == {"post": [name], "orders": [name]}  # they share a module
        newer.unlink()
        if compatible:
            assert (await meristem("migrate", "--check")).code == 0
            newer.write_text(REVISION.format(name=name, before=before, compatible=compatible))
            before = name
    for verb in (["migrate"], ["migrate", "--check"], ["run", "--port", "0"]):
        refused = await meristem(*verb)
        assert refused.code == 1
        text = " ".join(refused.err.split())
        assert "error: database 'post' was migrated by a newer release (service contract)" in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nothing.py"], 1, "there is no file"),
        (["run", "shop:sistem"], 1, "did you mean 'system'?"),
        (["run", "--port", "many"], 2, "is not a valid integer"),
        (["call", "orders.ordr"], 2, "there is no operation 'orders.ordr'; there are orders.order"),
        (["call", "post.idle", '{"a": "\udcff"}'], 2, "is no UTF-8: write it as such"),
        (["sagas", "show", "\udcff"], 2, "b'\\xff' is no UTF-8"),
        (["call", "post.idle"], 75, "shop does not run here; start it with `meristem run` or give --address"),
        (["call", "orders.order", "{", "--address", "http://127.0.0.1:9"], 2, "Invalid value for JSON"),
        (["call", "orders.refuse", "--address", "http://127.0.0.1:9"], 75, "[unavailable]"),
        (["ps", "nope"], 1, "names the module 'nope', but there is no 'nope'"),
        (["reload", "nope"], 1, "names the module 'nope', but there is no 'nope'"),
        (["ps", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["reload", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["graph", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["settings", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["contracts", "export", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["migrate", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["run", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["sagas", "list", "--system", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["events", "dead", "--system", "shop:sistem"], 1, "shop has no 'sistem'; did you mean 'system'?"),
        (["call", "orders.order", "--system", "shop.py:sistem"], 1, "shop.py has no 'sistem'; did you mean 'system'?"),
        (["ps", "shop:sistem"], 1, "shop has no 'sistem'; did you mean 'system'?"),
        (["graph", "hello.py", "--system", "shop.py"], 2, "two systems are named, hello.py and shop.py; name one"),
        (["call", "post.idle", "--user", "ada", "--address", "http://127.0.0.1:9"], 2, "set MERISTEM_SECRET"),
        (["events", "redrive"], 2, "which? events redrive NUMBER --service NAME, --subscriber NAME or --all"),
        (["events", "redrive", "7", "--service", "orders"], 2, "orders has no dead letter 7; `meristem events dead`"),
        (["events", "discard", "7", "--service", "orders"], 2, "orders has no dead letter 7; `meristem events dead`"),
        (["events", "redrive", "7"], 2, "add --service"),
        (["events", "redrive", "7", "--service", "orders", "--all"], 2, "some or all?"),
        (["graph", "--json", "--mermaid"], 2, "--json and --mermaid are two forms of it: give one"),
        (["contracts", "check", "--save", "now.json", "--json"], 2, "--kind and --json are for what --against finds"),
        (["backup", "--system", "shop.py", "verify", "."], 2, "--system before verify says nothing to it"),
        (["events", "redrive", "--subscriber", "pots"], 2, "no service 'pots' hears events; there are post"),
        (["sagas", "list", "--service", "nobody"], 2, "no service 'nobody' has a database"),
        (
            ["sagas", "show", "nothing", "--json"],
            2,
            "no service has a saga of this id; `meristem sagas list` shows them",
        ),
        (["sagas", "retry", "nothing"], 2, "no service has a saga of this id"),
        (["sagas", "cancel", "nothing"], 2, "no service has a saga of this id"),
        (["contracts", "export", "--contract", "Order"], 2, "there is no contract 'Order'; there are Orders, Post"),
        (["migrate", "--new", "first"], 2, "a migration belongs to one service: add --service"),
        (["process", "--process", "mian", "--listen", "tcp://127.0.0.1:0"], 2, "there is no process 'mian'"),
        (["process"], 2, "where shall the process listen?"),
        (["graph", "--placement", "none.toml"], 2, "'none.toml' does not exist"),
        (["run", "--log-level", "loud"], 2, "'loud' is not one of"),
        (["dance"], 2, "No such command 'dance'"),
    ],
)
async def test_what_goes_wrong_is_said_in_one_message_without_a_traceback(meristem, arguments, code, message):
    ended = await meristem(*arguments)

    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.code == code


async def test_a_broken_system_is_refused_before_anything_starts(meristem, project: Path):
    text = (project / "hello.py").read_text().rsplit("    async def slow(self)", 1)[0]
    (project / "hello.py").write_text(text)
    ended = await meristem("run", "hello.py", "--port", "0")

    assert ended.code == 1
    assert ended.err.endswith(
        "in HelloService\n    class HelloService(Hello, Service):\nerror: HelloService does not implement Hello.slow\n"
    )


async def test_a_run_prints_its_addresses_and_tells_ps_where_operators_read(start, project: Path):
    running = await start("run", "hello.py", "--port", "0", "--operator", "tcp://127.0.0.1:0")
    address = (await running.shows("hello runs at ")).split()[0]
    page = running.text.partition("API page")[2].split()[0]
    operator = running.text.partition("dashboard ")[2].split("/?token=")[0].strip()
    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        described = await browser.get(page)
        bare = await browser.get(f"{address}/health")
        hidden = await browser.get(f"{address}/metrics")
        health = (await browser.get(f"{operator}/health")).json()
    told = json.loads((project / ".meristem/hello/running.json").read_text())

    assert (page, described.status_code) == (f"{address}/api/docs", 200)
    assert (bare.json(), hidden.status_code) == ({"status": "ready"}, 404)
    assert [(each["process"], each["status"]) for each in health["processes"]] == [("main", "ready")]
    assert told["operators"][1:] == [operator]
    assert told["operators"][0].startswith("unix:")
    assert told["operators"][0].endswith("/operator.sock")


async def test_at_an_address_that_others_reach_the_api_page_is_shown_only_when_it_is_asked_for(project, start):
    (project / "hullo.py").write_text((project / "hello.py").read_text().replace('System("hello"', 'System("hullo"'))
    quiet = await start("run", "hello.py", "--port", "0", "--host", "0.0.0.0")
    loud = await start("run", "hullo.py", "--port", "0", "--host", "0.0.0.0", "--api-page")
    address = (await quiet.shows("hello runs at ")).split()[0].replace("0.0.0.0", "127.0.0.1")
    other = (await loud.shows("hullo runs at ")).split()[0].replace("0.0.0.0", "127.0.0.1")
    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        assert (await browser.get(f"{address}/api/hello/Ada")).json() == "Hello, Ada!"
        assert (await browser.get(f"{address}/api/docs")).status_code == 404
        assert (await browser.get(f"{other}/api/docs")).status_code == 200

    assert "API page" not in quiet.text
    assert "operators unix:" in quiet.text


async def test_two_systems_run_beside_each_other_and_each_says_where_its_operators_read(start):
    one, two = await start("run", "hello.py", "--port", "0"), await start("run", "shop.py", "--port", "0")
    await one.shows("hello runs at ")
    await two.shows("shop runs at ")
    told = [each.text.partition("dashboard ")[2].splitlines()[0] for each in (one, two)]

    assert told[0].split()[0] != told[1].split()[0]
    assert any("(port 8001 is taken)" in each for each in told)


async def test_a_run_fails_when_an_address_that_was_asked_for_operators_is_taken(meristem):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        ended = await meristem("run", "hello.py", "--port", "0", "--operator", taken)

    assert ended.code == 1
    assert f"cannot listen on {taken}" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "verb",
    [
        ["graph", "--json"],
        ["settings"],
        ["contracts", "export"],
        ["ps"],
        ["migrate", "--check"],
        ["sagas", "list"],
        ["events", "dead"],
    ],
)
async def test_every_verb_is_told_of_a_system_in_the_same_way(meristem, verb):
    by_option = await meristem(*verb, "--system", "hello.py")
    by_name = await meristem(*verb, "hello.py")

    assert by_option == by_name
    assert by_name.code == 0, by_name.err


async def test_a_saga_is_named_by_the_beginning_of_its_id_and_nothing_is_cut_where_there_is_no_terminal(
    start, meristem, environment
):
    environment["COLUMNS"] = "40"
    run = await start("run", "--port", "0")
    await run.shows("shop runs at")
    for item in ("lamp", "desk"):
        assert (await meristem("call", "orders.order", f'{{"item": "{item}"}}', "--user", "ada")).code == 0
    listed = (await meristem("sagas", "list", "--json")).json["orders"]
    first, second = (each["id"] for each in listed)

    shown = await meristem("sagas", "show", first[:8])
    wrong = await meristem("sagas", "show", "x" * 8)
    every = await meristem("sagas", "show", "")
    table = (await meristem("sagas", "list")).out

    assert first in shown.out
    assert (wrong.code, every.code) == (2, 2)
    assert all(any(each in line and "order" in line for line in table.splitlines()) for each in (first, second))


@pytest.mark.parametrize("group", ["new", "contracts", "sagas", "events", "backup", "data", "tokens"])
def test_a_group_tells_what_each_of_its_verbs_is_for_in_a_whole_sentence(group):
    shown = CliRunner().invoke(commands, [group, "--help"])

    assert shown.exit_code == 0
    listed = shown.output.partition("Commands:\n")[2].strip()
    assert listed
    assert "..." not in listed


def test_every_verb_that_has_no_other_argument_takes_the_system_as_one() -> None:
    lacking = [
        f"{group} {name}".strip()
        for group, verbs in [("", commands), *((name, each) for name, each in commands.commands.items())]
        if isinstance(verbs, click.Group)
        for name, verb in verbs.commands.items()
        if not isinstance(verb, click.Group)
        and any("--system" in each.opts for each in verb.params)
        and not any(isinstance(each, click.Argument) for each in verb.params)
    ]

    assert lacking == []
