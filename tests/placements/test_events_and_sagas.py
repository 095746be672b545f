"""Events, sagas, settings and periodic work behave the same, wherever the services live."""

import asyncio

import pytest
from systems.keeping import Approval, Audit, Bank, Post, Refused, Shop

from meristem import CallError, Code, Context, Message, SagaHandle, SagaState, start_saga, using

SYSTEM = "systems.keeping:system"
OPTIONS = {"settings": {"shop": {"greeting": "olá é𝄞", "limit": 7, "colours": {"a b": 'x"\\y'}}}}


class Other(Message):
    by: str


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


async def test_a_saga_is_started_without_waiting_and_asked_for_later(app):
    shop, bank = app.client(Shop), app.client(Bank)
    handle = await start_saga(shop.patient, "started")
    await bank.until("started", 1)
    assert await handle.state() in (SagaState.RUNNING, SagaState.WAITING)

    await shop.pay("started")
    again = SagaHandle.of(shop.patient, handle.id)
    assert await again.result() == "paid by started"
    assert (await handle.state(), await handle.result()) == (SagaState.DONE, "paid by started")


async def test_a_saga_that_was_started_fails_as_one_that_was_called(app):
    handle = await start_saga(app.client(Shop).order, "started-bad", 40, fail=True)
    with pytest.raises(Refused) as caught:
        await handle.result()

    assert caught.value.reason == "1000 is too much"
    assert await handle.state() is SagaState.FAILED
    with pytest.raises(CallError) as refused:
        await handle.cancel()
    assert refused.value.code is Code.FAILED_PRECONDITION


async def test_a_saga_that_was_started_is_cancelled_and_undone(app):
    shop, bank = app.client(Shop), app.client(Bank)
    handle = await start_saga(shop.patient, "stopped")
    await bank.until("stopped", 1)
    await handle.cancel()

    with pytest.raises(CallError) as caught:
        await handle.result()
    assert caught.value.code is Code.CANCELED
    assert await handle.state() is SagaState.FAILED


async def test_a_saga_is_signalled_by_its_service_and_by_others(app):
    shop = app.client(Shop)
    handle = await start_saga(shop.approved, "signalled")
    await shop.approve(handle.id, "Ada")
    await handle.signal(Approval(by="Bob"))

    assert await handle.result() == ["Ada", "Bob"]
    for code, again in (
        (Code.FAILED_PRECONDITION, handle.signal(Approval(by="Cid"))),
        (Code.NOT_FOUND, SagaHandle.of(shop.approved, "nobody").signal(Approval(by="Cid"))),
        (Code.INVALID_ARGUMENT, handle.signal(Other(by="Cid"))),
    ):
        with pytest.raises(CallError) as caught:
            await again
        assert caught.value.code is code


async def test_a_saga_starts_signals_and_waits_for_one_of_another_service(app):
    assert await app.client(Audit).approve("started-by-a-saga") == ["Ada", "Bob", "done"]


async def test_under_one_key_a_saga_is_one_whether_it_is_started_or_called(app):
    shop, bank = app.client(Shop), app.client(Bank)
    with using(key="started-key"):
        first, second = await start_saga(shop.order, "one", 5), await start_saga(shop.order, "one", 5)
        answer = await shop.order("one", 5)
        with pytest.raises(CallError) as caught:
            await start_saga(shop.order, "one", 6)

    assert first.id == second.id
    assert (await first.result(), answer) == ("order of 5", "order of 5")
    assert await bank.debits("one") == [5]
    assert caught.value.code is Code.ALREADY_EXISTS


async def test_what_is_no_saga_is_not_started_without_waiting(app):
    for method in (app.client(Shop).pay, app.client(Audit).heard):
        with pytest.raises(CallError) as caught:
            await start_saga(method, *("nobody", 1)[: 1 if method.__name__ == "pay" else 2])
        assert caught.value.code is Code.UNIMPLEMENTED


async def test_an_id_that_nobody_knows_is_not_found(app):
    with pytest.raises(CallError) as caught:
        await SagaHandle.of(app.client(Shop).order, "5f0c").state()

    assert caught.value.code is Code.NOT_FOUND


async def test_an_id_of_another_saga_is_refused_whatever_it_is_asked(app):
    shop, bank = app.client(Shop), app.client(Bank)
    patient = await start_saga(shop.patient, "mistaken")
    await bank.until("mistaken", 1)
    mistaken = SagaHandle.of(shop.order, patient.id)

    for asked in (mistaken.state(), mistaken.result(), mistaken.cancel(), mistaken.signal(Approval(by="Ada"))):
        with pytest.raises(CallError, match=r"is a saga patient, and none of Shop\.order") as caught:
            await asked
        assert caught.value.code is Code.NOT_FOUND
    await shop.pay("mistaken")
    assert await patient.result() == "paid by mistaken"


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
