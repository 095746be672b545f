"""Events, sagas, settings and periodic work behave the same, wherever the services live."""

import asyncio

import pytest
from systems.keeping import Audit, Bank, Post, Refused, Shop

from meristem import CallError, Code, Context, using

SYSTEM = "systems.keeping:system"
OPTIONS = {"settings": {"shop": {"greeting": "olá é𝄞", "limit": 7, "colours": {"a b": 'x"\\y'}}}}
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_events_are_handled_once_and_in_order_per_key(app):
    shop, post = app.client(Shop), app.client(Post)
    await shop.publish("ordered", list(range(10)))
    await shop.publish("ordered", list(range(10, 20)))

    assert await post.letters("ordered", 20) == list(range(20))


async def test_each_subscriber_gets_a_copy_of_its_own(app):
    await app.client(Shop).publish("copies", [1, 2])

    assert await app.client(Post).letters("copies", 2) == [1, 2]
    assert await app.client(Audit).heard("copies", 2) == 2


async def test_what_was_rolled_back_was_never_published(app):
    shop, post = app.client(Shop), app.client(Post)
    with pytest.raises(CallError) as caught:
        await shop.publish("rolled", [1], roll_back=True)
    await shop.publish("rolled", [2])

    assert caught.value.code is Code.ABORTED
    assert await post.letters("rolled", 1) == [2]
    assert await shop.sales("rolled") == ["published"]


async def test_a_handler_that_fails_is_given_the_event_again_and_leaves_one_effect(app, caplog):
    await app.client(Shop).publish("flaky", [1, 2, 3])
    await app.settled(timeout=60.0)

    assert await app.client(Post).letters("flaky", 3) == [1, 2, 3]


async def test_events_of_many_keys_all_arrive(app):
    shop, post = app.client(Shop), app.client(Post)
    await asyncio.gather(*(shop.publish(f"key-{number}", [number]) for number in range(30)))
    found = await asyncio.gather(*(post.letters(f"key-{number}", 1) for number in range(30)))

    assert found == [[number] for number in range(30)]


async def test_a_saga_calls_services_elsewhere_and_its_own_steps(app):
    shop, bank = app.client(Shop), app.client(Bank)

    assert await shop.order("saga", 40) == "order of 40"
    assert await bank.debits("saga") == [40]
    assert await shop.sales("saga") == ["ordered"]


async def test_a_saga_that_fails_undoes_what_it_did_elsewhere(app):
    shop, bank = app.client(Shop), app.client(Bank)
    with pytest.raises(Refused) as caught:
        await shop.order("undone", 40, fail=True)

    assert caught.value.reason == "1000 is too much"
    assert await bank.debits("undone") == [40, -40]


async def test_a_saga_that_is_started_again_with_its_key_gives_the_same_answer(app):
    shop, bank = app.client(Shop), app.client(Bank)
    with using(Context(key="saga-key")):
        answers = await asyncio.gather(*(shop.order("again", 5) for _ in range(5)))

    assert answers == ["order of 5"] * 5
    assert await bank.debits("again") == [5]


async def test_a_saga_waits_for_an_event(app):
    shop, bank = app.client(Shop), app.client(Bank)
    waiting = asyncio.ensure_future(shop.patient("patient"))
    await bank.until("patient", 1)
    await shop.pay("patient")

    assert await waiting == "paid by patient"


async def test_settings_reach_their_service(app):
    assert await app.client(Shop).setting() == {"greeting": "olá é𝄞", "limit": "7", "a b": 'x"\\y'}


async def test_periodic_work_goes_on(app):
    shop = app.client(Shop)
    first = await shop.ticks(1)

    assert await shop.ticks(first + 3) >= first + 3
