"""Which events a system has and how its subscribers are doing, and publishing from the command."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from meristem.events.brokers.address import read_address
from meristem.events.brokers.nats import NatsBroker
from meristem.events.envelope import Envelope, event_id
from tests.suites.nats_prefix import bus_of_its_own

SOLD = "shop.orders.v1.Sold"


@pytest.fixture
async def bus() -> AsyncIterator[str]:
    """The URL of a bus over NATS under a prefix of its own."""
    async with bus_of_its_own() as url:
        yield url


@pytest.fixture
def placement(project: Path, bus: str) -> str:
    """A placement with that bus."""
    file = project / "placement.toml"
    file.write_text(f'[resources]\nbus = "{bus}"\n')
    return str(file)


@pytest.fixture
def nowhere(project: Path) -> str:
    """A placement with a bus at which nobody answers."""
    file = project / "nowhere.toml"
    file.write_text('[resources]\nbus = "nats://127.0.0.1:1"\n')
    return str(file)


async def test_an_event_that_is_published_by_hand_goes_its_usual_way(start, meristem):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    published = await meristem("events", "publish", SOLD, '{"item": "ink"}', "--json")
    await running.shows("heard ink")
    await running.shows("dead")
    listed = await meristem("events", "list", "--json")
    [letter] = (await meristem("events", "dead", "--json")).json["orders"]

    assert published.json == {
        "id": letter["event_id"], "type": SOLD, "publisher": "orders", "destinations": ["post"],
    }  # fmt: skip
    assert listed.json["events"] == [
        {"type": SOLD, "publishers": ["orders"], "subscribers": ["post"], "accepted_from": [], "webhooks": []}
    ]
    assert listed.json["subscribers"] == [
        {"name": "post", "waiting": 0, "oldest": None, "failed": 0, "lag": None, "dead": 1, "kind": "service"}
    ]


async def test_what_an_event_must_say_is_checked_by_who_runs_and_not_by_the_code_that_is_here(
    start, meristem, project: Path
):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    module = project / "shop.py"
    module.write_text(module.read_text().replace("    item: str\n", "    item: str\n    colour: str\n", 1))
    published = await meristem("events", "publish", SOLD, '{"item": "ink"}', "--json")
    wrong = await meristem("events", "publish", SOLD, '{"item": 7}')
    await running.shows("heard ink")

    assert published.code == 0, published.err
    assert (wrong.code, "'JSON': item: " in wrong.err or "JSON: item: " in wrong.err) == (2, True), wrong.err


@pytest.mark.parametrize("placed", [False, True])
async def test_events_are_shown_as_they_pass(start, meristem, project: Path, placed: bool):
    placement = project / "apart.toml"
    placement.write_text('[processes]\norders = ["orders"]\npost = ["post"]\n')
    running = await start("run", "--port", "0", *(["--placement", "apart.toml"] if placed else []))
    await running.shows("dashboard")
    if placed:
        await running.shows("shop runs at ")
    tail = await start("events", "tail", "--json")
    other = await start("events", "tail", "--type", "shop.orders.v1.Bought")
    while "dead" not in tail.text:
        await meristem("call", "orders.sell", '{"item": "amqp://ann:knife@till/ink"}')
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await tail.shows('"what":"dead"')
    tail.process.send_signal(signal.SIGINT)
    other.process.send_signal(signal.SIGINT)
    await tail.ended()
    await other.ended()
    [published, dead, *_] = [msgspec.json.decode(line) for line in tail.text.splitlines() if "{" in line]

    assert (published["what"], published["type"], published["service"]) == ("published", SOLD, "orders")
    assert published["data"] == {"item": "amqp://ann:***@till/ink"}
    assert (dead["what"], dead["service"], dead["error"]) == ("dead", "post", "Undeliverable: no pen")
    assert "{" not in other.text


async def test_where_nothing_runs_there_is_nothing_to_show(meristem):
    ended = await meristem("events", "tail")

    assert ended.code == 75
    assert "shop does not run from here: start it, then look at its events" in ended.err


async def test_a_renamed_subscriber_is_shown_by_its_name_of_now_and_found_by_both(start, meristem, project: Path):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    await meristem("events", "publish", SOLD, '{"item": "ink"}')
    await running.shows("dead")
    running.process.terminate()
    await running.ended()
    module = project / "shop.py"
    renamed = module.read_text().replace(
        "class PostService(Post, Service)", 'class Mail(Post, Service, formerly="post")'
    )
    module.write_text(renamed.replace("OrdersService, PostService]", "OrdersService, Mail]"))

    dead = await meristem("events", "dead", "--json")
    [subscriber] = (await meristem("events", "list", "--json")).json["subscribers"]
    redriven = [await meristem("events", "redrive", "--subscriber", each, "--json") for each in ("mail", "post")]
    [waiting] = (await meristem("events", "waiting", "--json")).json["orders"]

    assert [each["subscriber"] for each in dead.json["orders"]] == ["mail"]
    assert (subscriber["name"], subscriber["dead"]) == ("mail", 1)
    assert [each.json["orders"] for each in redriven] == [1, 0], redriven[0].err
    assert (waiting["subscriber"], waiting["count"]) == ("mail", 1)


async def test_what_a_broker_has_for_a_service_that_it_has_not_taken_in_is_its_lag(meristem, bus: str, placement: str):
    before = await meristem("events", "list", "--placement", placement, "--json")
    broker = NatsBroker(read_address(bus, ()), "elsewhere")
    await broker.connect([], lambda _: None)
    try:
        await broker.send(Envelope(id=event_id(datetime.now(UTC)), source="//elsewhere/orders", type=SOLD))
        await broker.send(Envelope(id=event_id(datetime.now(UTC)), source="//elsewhere/orders", type="shop.Other"))
    finally:
        await broker.close()
    after = await meristem("events", "list", "--placement", placement, "--json")
    shown = await meristem("events", "list", "--placement", placement)

    lags = [[each["lag"] for each in ended.json["subscribers"]] for ended in (before, after)]
    assert lags == [[0], [1]], after.err
    assert SOLD in shown.out


async def test_a_service_that_has_kept_nothing_yet_has_nothing_to_replay(meristem, placement: str):
    ended = await meristem("events", "replay", "--subscriber", "post", "--from", "first", "--placement", placement)

    assert (ended.code, ended.err) == (
        75,
        "error: post has no database that lasts yet: run the system once, then replay\n",
    )


async def test_a_broker_that_is_away_hides_nothing_else(meristem, nowhere: str):
    listed = await meristem("events", "list", "--placement", nowhere, "--json")

    assert listed.json["unreachable"].startswith("nats can't be asked: ")
    assert [(each["name"], each["lag"]) for each in listed.json["subscribers"]] == [("post", None)]


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (["shop.orders.v1.Bought", "{}"], 2, f"no event 'shop.orders.v1.Bought'; there are {SOLD}"),
        ([SOLD, "{}"], 2, "item: "),
        ([SOLD, '{"item": 7}'], 2, "item: "),
        ([SOLD, '{"item": "ink", "colour": "red"}'], 2, f"{SOLD} has no field 'colour'; there are item"),
        ([SOLD, "ink"], 2, "the event: "),
        ([SOLD, '{"item": "ink"}'], 75, "orders has no database that lasts yet: run the system once"),
        ([SOLD, '{"item": "ink"}', "--service", "pots"], 2, "no service 'pots' has a database"),
    ],
)
async def test_what_can_not_be_published_is_refused(meristem, given: list[str], code: int, text: str):
    ended = await meristem("events", "publish", *given)

    assert ended.code == code
    assert text in ended.err


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--subscriber", "post"], "from where? give one of --since TIME and --from POSITION"),
        (["--subscriber", "pots", "--from", "7"], "no service 'pots' hears events; there are post"),
        (["--subscriber", "post", "--since", "monday"], "'monday' is no time: write an age"),
        (["--subscriber", "post", "--from", "0"], "'0' is no position; give a number from 1, or first"),
        (["--subscriber", "post", "--from", "first"], "this system's bus keeps no event that was handled"),
    ],
)
async def test_what_can_not_be_replayed_is_refused(meristem, given: list[str], text: str):
    ended = await meristem("events", "replay", *given)

    assert ended.code == 2
    assert text in ended.err


SHORT_LIVED = '[resources]\ndatabase = "sqlite://"\n'
UNSEEN = "[operator]\ndashboard = false\n"
APART = '[processes]\norders = ["orders"]\npost = ["post"]\n'


@pytest.mark.parametrize("placed", [SHORT_LIVED, UNSEEN, APART], ids=["in memory", "no dashboard", "apart"])
async def test_a_running_system_is_asked_and_what_nobody_there_tells_is_read(
    start, meristem, project: Path, placed: str
):
    (project / "placed.toml").write_text(placed)
    running = await start("run", "--port", "0", "--placement", "placed.toml")
    await running.shows("shop runs at ")
    for item in ("ink", "pen", "cap"):
        await meristem("call", "orders.sell", f'{{"item": "{item}"}}')
        await running.shows(f"heard {item}")
    dead = await _until_dead(meristem, 3)

    numbers = [each["id"] for each in dead]
    listed = await meristem("events", "list", "--json")
    waiting = await meristem("events", "waiting", "--json")
    running.text = ""
    redriven = await meristem("events", "redrive", str(numbers[0]), str(numbers[1]), "--service", "orders", "--json")
    await running.shows("heard ink")
    await running.shows("heard pen")
    await _until_dead(meristem, 3)
    missing = await meristem("events", "discard", "99", "--service", "orders")
    [number, *_] = [each["id"] for each in await _until_dead(meristem, 3)]
    anothers = await meristem("events", "discard", str(number), "--service", "orders", "--subscriber", "orders")
    own = await meristem("events", "redrive", str(number), "--service", "orders", "--subscriber", "post", "--json")
    await _until_dead(meristem, 3)
    discarded = await meristem("events", "discard", "--subscriber", "post", "--json")

    assert [msgspec.json.decode(each["body"])["data"]["item"] for each in dead] == ["ink", "pen", "cap"]
    assert [(each["name"], each["dead"]) for each in listed.json["subscribers"]] == [("post", 3)]
    assert (listed.json["events"][0]["publishers"], listed.json["unreachable"]) == (["orders"], None)
    assert waiting.json == {"orders": [], "post": []}
    assert redriven.json == {"orders": 2}, redriven.err
    assert (missing.code, "orders has no dead letter 99" in missing.err) == (2, True)
    assert (anothers.code, f"not all of these letters are orders's: {number} is post's" in anothers.err) == (2, True)
    assert own.json == {"orders": 1}, own.err
    assert discarded.json == {"orders": 3, "post": 0}
    assert (await meristem("events", "dead", "--json")).json == {"orders": [], "post": []}


async def _until_dead(meristem, count: int) -> list[dict]:
    async with asyncio.timeout(60):
        while len(found := (await meristem("events", "dead", "--json")).json["orders"]) < count:
            await asyncio.sleep(0.1)
    return found


async def test_what_is_in_memory_is_published_and_found_alike(start, meristem, project: Path):
    (project / "placed.toml").write_text(SHORT_LIVED)
    running = await start("run", "--port", "0", "--placement", "placed.toml")
    await running.shows("shop runs at ")
    published = await meristem("events", "publish", SOLD, '{"item": "ink"}', "--json")
    await running.shows("heard ink")

    assert (published.json["publisher"], published.json["destinations"]) == ("orders", ["post"])
