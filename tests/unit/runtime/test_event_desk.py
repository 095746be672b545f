"""What operators see of a system's events and may do about dead letters, in its processes and merged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from sqlalchemy import insert

from meristem import CallError, Code, Contract, Database, Event, Service, System, Undeliverable, on, operation
from meristem.contracts.contract import operations
from meristem.events.dead_letters import DeadLetters
from meristem.events.tables import DEAD_LETTERS, OUTBOX
from meristem.operators.asking import Asking
from meristem.operators.event_contract import ChosenLetters, Events, LetterSearch, LettersLike
from meristem.operators.event_merging import LARGEST
from meristem.operators.system_events import SystemEvents
from meristem.runtime.event_desk import EventDesk
from meristem.testing import ManualClock, running

ORDERED, PAID = "desk.v1.Ordered", "desk.bank.v1.Paid"


class Ordered(Event, package="desk.v1", key="article"):
    article: str
    url: str = "amqp://ann:knife@till/x"


class Paid(Event, package="desk.bank.v1", accepts_from="teller"):
    amount: int


class Orders(Contract, Protocol, package="desk.v1"):
    @operation
    async def order(self, article: str) -> None: ...


class Bank(Contract, Protocol, package="desk.bank.v1"):
    @operation
    async def pay(self, amount: int) -> None: ...


class OrdersService(Orders, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def order(self, article: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Ordered(article=article))


class BankService(Bank, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def pay(self, amount: int) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Paid(amount=amount))


class StockService(Service):
    def __init__(self) -> None:
        self.taken: list[str] = []
        self.is_open = False

    @on(Ordered)
    async def take(self, event: Ordered) -> None:
        if not self.is_open:
            raise Undeliverable(f"no {event.article}: amqp://ann:knife@till/x is shut")
        self.taken.append(event.article)


class BooksService(Service):
    @on(Paid)
    async def write(self, event: Paid) -> None:
        raise Undeliverable("no pen")


class Place:
    """A replica of a process, as operators ask one; its desk is the real one."""

    restarts = 0

    def __init__(self, process: str, desk: EventDesk, services: tuple[str, ...]) -> None:
        self.labels = {"process": process, "replica": "0"}
        self.services = services
        self.is_silent = False
        self._desk = desk

    async def ask(self, asked: Any, request: Any) -> Any:
        if self.is_silent:
            raise ConnectionError("it is away")
        values = [request] if not asked.spread else [getattr(request, name) for name in request.__struct_fields__]
        named = {"values": values.pop()} if asked.name == "letter" else {}
        return await getattr(self._desk, asked.name)(*values, **named)


class Watched:
    """A running system, and who sees its events: as two processes, one with the bank and one with all else."""

    def __init__(self, app: Any, clock: ManualClock) -> None:
        self.app, self.clock = app, clock
        self.bank = Place("bank", self._desk("bank"), ("bank",))
        self.main = Place("main", self._desk("orders", "stock", "books"), ("orders", "stock", "books"))
        self.events = SystemEvents(Asking(self))  # type: ignore[arg-type]

    def instances(self) -> list[Place]:
        return [self.main, self.bank]

    def _desk(self, *services: str) -> EventDesk:
        databases = {name: found for name, found in self.app.databases.items() if name in services}

        async def lag() -> dict[str, int]:
            return dict.fromkeys(set(services) & {"stock"}, 4)

        return EventDesk(self.app.blueprint, lambda: databases, self.clock, lag)

    async def letters(self, service: str) -> list[int]:
        return [each.id for each in await DeadLetters(self.app.database(service), self.clock).list()]

    async def fill(self, count: int, **values: Any) -> None:
        row = {"subscriber": "stock", "type": ORDERED, "key": "", "attempts": 1, "error": "no pen", "body": "{}"}
        rows = [row | {"event_id": f"e{each}", "created": float(each)} | values for each in range(count)]
        await self.app.database("orders").execute(insert(DEAD_LETTERS), rows)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with _running() as found:
        yield found


async def nobody(request: Any) -> None:
    """Nobody comes from outside."""


@asynccontextmanager
async def _running() -> AsyncIterator[Watched]:
    clock = ManualClock()
    services = [OrdersService, BankService, StockService, BooksService]
    async with running(System("desk", services=services, authenticate=nobody), clock=clock) as app:
        yield Watched(app, clock)


async def test_events_their_subscribers_and_what_waits_are_told_as_of_one_system(watched: Watched):
    await watched.app.client(Orders).order("lamp")
    await watched.app.client(Bank).pay(3)
    await watched.app.settled()
    [row] = await DeadLetters(watched.app.database("orders"), watched.clock).list()
    gone = {name: getattr(row, name) for name in ("event_id", "type", "key", "body", "created", "attempts")}
    left = gone | {"subscriber": "former", "due_at": 0.0}
    await watched.app.database("orders").execute(insert(OUTBOX), left)

    found = await watched.events.overview("")

    types = {each.type: (each.publishers, each.subscribers, each.accepted_from) for each in found.events}
    assert types[ORDERED] == (["orders"], ["stock"], [])
    assert types[PAID] == (["bank"], ["books"], ["teller"])
    told = {each.name: (each.waiting, each.dead, each.lag, each.kind) for each in found.subscribers}
    assert told == {
        "stock": (0, 1, 4, "service"),
        "books": (0, 1, None, "service"),
        "former": (1, 0, None, "gone"),
    }
    dead = {each.service: each.dead for each in found.outboxes if each.dead}
    assert dead == {"orders": {"stock": 1}, "bank": {"books": 1}}
    assert found.silent == []


async def test_what_is_silent_is_named_and_hides_nothing_else(watched: Watched):
    await watched.app.client(Orders).order("lamp")
    await watched.app.settled()
    watched.bank.is_silent = True

    found = await watched.events.overview("")
    page = await watched.events.dead(LetterSearch())
    changed = await watched.events.redrive(ChosenLetters(like=LettersLike()))

    assert (found.silent, page.silent, changed.silent) == (["bank"], ["bank"], ["bank"])
    assert (len(page.letters), changed.changed) == (1, {"orders": 1, "stock": 0, "books": 0})
    with pytest.raises(CallError) as refused:
        await watched.events.letter("bank", 1)
    assert refused.value.code is Code.UNAVAILABLE


async def test_a_letter_tells_why_and_hides_what_its_event_says_until_asked(watched: Watched):
    await watched.app.client(Orders).order("lamp")
    await watched.app.settled()

    [listed] = (await watched.events.dead(LetterSearch())).letters
    [whole] = (await watched.events.dead(LetterSearch(values=True))).letters
    masked = await watched.events.letter("orders", listed.id)
    shown = await watched.events.letter("orders", listed.id, values=True)

    assert listed.error == "Undeliverable: no lamp: amqp://ann:***@till/x is shut"
    assert (listed.body, json.loads(whole.body)["data"]["article"]) == ("", "lamp")
    assert json.loads(masked.data) == {"article": "***", "url": "***"}
    assert (masked.attributes["type"], masked.letter.body) == (ORDERED, "")
    assert json.loads(shown.data) == {"article": "lamp", "url": "amqp://ann:***@till/x"}
    with pytest.raises(CallError) as missing:
        await watched.events.letter("orders", 99)
    assert missing.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("begin", [{"before": {}}, {"after": {}}])
async def test_several_thousand_letters_are_read_page_by_page_and_each_once(watched: Watched, begin: dict[str, Any]):
    await watched.fill(2500)
    for amount in range(3):
        await watched.app.client(Bank).pay(amount)
    await watched.app.settled()
    found, search, pages = [], LetterSearch(most=1000, **begin), 0
    while True:
        page = await watched.events.dead(search)
        found += [(each.service, each.id) for each in page.letters]
        pages += 1
        if not page.more:
            break
        search = LetterSearch(most=1000, **dict.fromkeys(begin, page.next))

    assert (pages, page.total, len(found), len(set(found))) == (3, 2503, 2503, 2503)
    assert page.newest == {"orders": 2500, "bank": 3, "stock": 0, "books": 0}
    own = [number for service, number in found if service == "orders"]
    assert own == sorted(own, reverse="before" in begin)


async def test_a_page_of_large_events_ends_early_and_says_that_there_is_more(watched: Watched):
    await watched.fill(5, body=json.dumps("x" * (LARGEST // 2)))

    page = await watched.events.dead(LetterSearch(values=True))
    rest = await watched.events.dead(LetterSearch(values=True, before=page.next))

    assert [each.id for each in page.letters] == [5]
    assert page.more
    assert [each.id for each in rest.letters] == [4]


@pytest.mark.parametrize(
    ("like", "numbers"),
    [
        (LettersLike(text="LaMp"), [1]),
        (LettersLike(text="100%"), [3]),
        (LettersLike(subscriber="other"), [3]),
        (LettersLike(type="desk.v1.Other"), [3]),
        (LettersLike(since=1.0), [2, 1]),
        (LettersLike(service="bank"), []),
        (LettersLike(), [3, 2, 1]),
    ],
)
async def test_letters_are_found_by_what_they_say_and_are(watched: Watched, like: LettersLike, numbers: list[int]):
    for article in ("lamp", "chair"):
        await watched.app.client(Orders).order(article)
    await watched.app.settled()
    await watched.fill(1, subscriber="other", type="desk.v1.Other", error="100% wrong")

    page = await watched.events.dead(LetterSearch(like=like))

    assert sorted((each.id for each in page.letters), reverse=True) == numbers
    assert page.total == len(numbers)


async def test_a_chosen_letter_is_delivered_again_and_the_others_stay(watched: Watched):
    for article in ("lamp", "chair", "table"):
        await watched.app.client(Orders).order(article)
    await watched.app.settled()
    watched.app.instances["stock"].service.is_open = True

    changed = await watched.events.redrive(ChosenLetters(numbers={"orders": [1, 3, 77]}))
    await watched.app.settled()

    assert changed.changed == {"orders": 2}
    assert watched.app.instances["stock"].service.taken == ["lamp", "table"]
    assert await watched.letters("orders") == [2]


async def test_what_came_after_the_look_is_not_discarded_unseen(watched: Watched):
    for article in ("lamp", "chair", "lamp"):
        await watched.app.client(Orders).order(article)
    await watched.app.client(Bank).pay(1)
    await watched.app.settled()

    changed = await watched.events.discard(ChosenLetters(like=LettersLike(text="lamp"), up_to={"orders": 2}))

    assert changed.changed == {"orders": 1}
    assert (await watched.letters("orders"), await watched.letters("bank")) == ([2, 3], [1])


async def test_what_still_waits_for_a_subscriber_that_is_gone_is_given_up_with_its_letters(watched: Watched):
    await watched.fill(2, subscriber="former")
    await watched.fill(1)
    row = {"event_id": "e", "type": ORDERED, "key": "", "body": "{}", "created": 0.0, "attempts": 0, "due_at": 9e9}
    await watched.app.database("orders").execute(insert(OUTBOX), row | {"subscriber": "former"})

    with pytest.raises(CallError, match="no service 'former' hears events; there are books, stock"):
        await watched.events.redrive(ChosenLetters(like=LettersLike(subscriber="former")))
    some = await watched.events.discard(ChosenLetters(like=LettersLike(subscriber="former", text="e1")))
    changed = await watched.events.discard(ChosenLetters(like=LettersLike(subscriber="former")))

    assert (some.changed["orders"], changed.changed["orders"]) == (1, 2)
    assert await watched.letters("orders") == [3]


@pytest.mark.parametrize("chosen", [ChosenLetters(), ChosenLetters(numbers={}, like=LettersLike())])
async def test_who_does_not_say_which_letters_changes_none(watched: Watched, chosen: ChosenLetters):
    await watched.fill(1)

    for change in (watched.events.redrive, watched.events.discard):
        with pytest.raises(CallError, match="which dead letters"):
            await change(chosen)
    with pytest.raises(CallError, match="no service 'stocks' has a database; there are"):
        await watched.events.discard(ChosenLetters(numbers={"stocks": [1]}))

    assert await watched.letters("orders") == [1]


async def test_an_event_is_published_where_its_publisher_lives(watched: Watched):
    watched.app.instances["stock"].service.is_open = True

    told = await watched.events.publish("orders", ORDERED, '{"article": "lamp"}')
    await watched.app.instances["orders"].storage.scan()
    await watched.app.settled()

    assert (told.publisher, told.destinations) == ("orders", ["stock"])
    assert watched.app.instances["stock"].service.taken == ["lamp"]
    for type_, data, text in (
        (ORDERED, "{}", "article"),
        (ORDERED, '{"article": "x", "colour": 1}', "has no field 'colour'"),
        ("desk.v1.Nothing", "{}", "no event 'desk.v1.Nothing'; there are"),
    ):
        with pytest.raises(CallError, match=text):
            await watched.events.publish("orders", type_, data)


def test_only_what_changes_something_is_no_look():
    looks = {name for name, each in operations(Events).items() if each.semantics.repeatable}
    assert looks == {"overview", "dead", "letter"}
