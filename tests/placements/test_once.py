"""What was repeated has its effect once, wherever the services live."""

import asyncio

import pytest
from systems.keeping import Bank, Refused, Shop

from meristem import CallError, Code, Context, using

SYSTEM = "systems.keeping:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_repeated_call_gives_the_first_answer_and_has_one_effect(app):
    bank = app.client(Bank)
    with using(Context(key="repeat-1")):
        answers = [await bank.debit("repeat", 10) for _ in range(3)]

    assert len(set(answers)) == 1
    assert await bank.debits("repeat") == [10]


async def test_calls_without_a_key_each_have_their_effect(app):
    bank = app.client(Bank)
    for _ in range(2):
        await bank.debit("twice", 10)

    assert await bank.debits("twice") == [10, 10]


async def test_calls_with_one_key_at_the_same_time_have_one_effect(app):
    bank = app.client(Bank)
    with using(Context(key="same-time")):
        answers = [asyncio.ensure_future(bank.held("same")) for _ in range(10)]
    await bank.until("same", 0)
    await bank.release("same")

    assert len(set(await asyncio.gather(*answers))) == 1
    assert await bank.debits("same") == [1]


async def test_a_key_that_was_used_for_another_request_is_refused(app):
    bank = app.client(Bank)
    with using(Context(key="reuse")):
        await bank.debit("reuse", 1)
        with pytest.raises(CallError) as caught:
            await bank.debit("reuse", 2)

    assert caught.value.code is Code.ALREADY_EXISTS
    assert not caught.value.may_have_happened
    assert "idempotency key was used for another request" in caught.value.message
    assert await bank.debits("reuse") == [1]


async def test_one_key_serves_two_operations(app):
    bank = app.client(Bank)
    await bank.release("shared")
    with using(Context(key="shared")):
        await bank.debit("shared", 1)
        await bank.held("shared")

    assert await bank.debits("shared") == [1, 1]


async def test_a_declared_fault_is_an_answer_and_is_repeated_without_effect(app):
    bank = app.client(Bank)
    with using(Context(key="refused")):
        for _ in range(3):
            with pytest.raises(Refused) as caught:
                await bank.debit("poor", 101)
            assert caught.value.reason == "101 is too much"

    assert await bank.debits("poor") == []


async def test_what_failed_is_no_answer_and_is_tried_anew(app, caplog):
    bank = app.client(Bank)
    for _ in range(2):
        with using(Context(key="burning")), pytest.raises(CallError) as caught:
            await bank.debit("burning", 13)
        assert caught.value.code is Code.INTERNAL

    assert await bank.debits("burning") == []


async def test_effects_below_are_once_though_the_caller_is_repeated(app, caplog):
    """The shop charges twice, fails, and is called again with the same key: the derived keys are the same."""
    shop, bank = app.client(Shop), app.client(Bank)
    with using(Context(key="chain")):
        with pytest.raises(CallError):
            await shop.sell("fails-after-1", [10, 20])
        answer = await shop.sell("fails-after-1", [10, 20])

    assert await bank.debits("fails-after-1") == [10, 20]
    assert await shop.sales("fails-after-1") == ["sold"]
    assert len(set(answer)) == 2
    keys = await bank.keys("fails-after-1")
    assert len(set(keys)) == 2
    assert "chain" not in keys


async def test_a_fault_from_below_undoes_what_the_caller_wrote_and_is_remembered(app):
    shop = app.client(Shop)
    with using(Context(key="below")):
        for _ in range(2):
            with pytest.raises(Refused):
                await shop.sell("below", [101])

    assert await shop.sales("below") == []


async def test_keys_pass_through_an_idempotent_operation(app):
    shop, bank = app.client(Shop), app.client(Bank)
    with using(Context(key="through")):
        assert len({await shop.sell_again("through") for _ in range(3)}) == 1

    assert await bank.debits("through") == [7]
