"""What fails tells its caller the same, wherever it ran."""

import logging
import re
from datetime import date
from decimal import Decimal

import httpx
import pytest
from msgspec import to_builtins
from placed import APART
from systems.failing import Declined, Failing, Gone, Guest, Middle, Money, Rare

from meristem import CallError, Code
from meristem.errors import DEFINITE

SYSTEM = "systems.failing:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_declared_fault_arrives_as_its_class_with_its_fields(app):
    with pytest.raises(Declined) as caught:
        await app.client(Failing).fault("declined")

    fault = caught.value
    assert fault.values() == {
        "reason": "no money é𝄞",
        "missing": Money(amount=Decimal("12.50")),
        "until": date(2030, 1, 2),
        "tries": [1, 2],
    }
    assert str(fault).startswith("The bank refused the card.")
    assert fault.__cause__ is None


async def test_a_fault_without_fields_and_one_of_a_subclass_arrive_as_themselves(app):
    with pytest.raises(Gone):
        await app.client(Failing).fault("gone")
    with pytest.raises(Rare) as caught:
        await app.client(Failing).fault("rare")

    assert (caught.value.kind, caught.value.until, caught.value.tries) == ("k", None, [])


async def test_a_fault_can_be_caught_between_two_services(app):
    assert await app.client(Middle).caught("declined") == "Declined 12.50 [1, 2]"
    assert await app.client(Middle).caught("gone") == "gone"


async def test_a_fault_passes_on_through_a_service_that_declares_it_too(app):
    with pytest.raises(Declined, match="no money"):
        await app.client(Middle).fault("declined")


async def test_a_subclass_of_a_declared_fault_passes_as_what_the_middle_declares(app):
    """`Middle.fault` declares Declined; below, Rare is raised, which is a Declined."""
    with pytest.raises(Declined) as caught:
        await app.client(Middle).fault("rare")

    assert type(caught.value) is Declined
    assert caught.value.reason == "r"


async def test_a_fault_that_the_middle_does_not_declare_is_its_own_failure(app, caplog):
    with pytest.raises(CallError) as caught:
        await app.client(Middle).fault("gone")

    assert caught.value.code is Code.INTERNAL
    assert caught.value.message.startswith("Middle.fault failed")


async def test_an_undeclared_fault_arrives_as_internal_and_the_log_says_what_to_do(app, caplog, logged):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).undeclared()

    assert caught.value.code is Code.INTERNAL
    assert "s3cret" not in str(caught.value)
    assert "declare it in raises=[...]" in await logged("Failing.undeclared failed")


async def test_an_exception_arrives_as_internal_and_is_logged_once_where_it_happened(app, caplog, logged):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).crash("s3cret")
    text = await logged("Failing.crash failed")

    assert caught.value.code is Code.INTERNAL
    assert caught.value.may_have_happened
    assert "s3cret" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert "ValueError: the password is s3cret" in text
    assert sum("Failing.crash failed" in record.getMessage() for record in caplog.records) == 1


BROKEN = {
    "unique": ("ada@s3cret.example", "pass-s3cret", "unique constraint"),
    "not null": ("x@s3cret.example", None, "not.null constraint"),
    "check": ("x@s3cret.example", "s3", "check constraint .*long_enough"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("many", [2, 400])
async def test_no_row_of_a_bulk_insert_that_fails_is_told_to_the_caller_or_the_log(
    app, where, logged, caplog, broken, many
):
    guests = [Guest(email=f"{number}@s3cret.example", password="pass-s3cret") for number in range(many)]
    email, password, reason = BROKEN[broken]
    guests += [Guest(email="ada@s3cret.example", password="pass-s3cret"), Guest(email=email, password=password)]
    with pytest.raises(CallError) as caught:
        await app.client(Failing).invite(guests)
    told = [str(caught.value), repr(caught.value), await logged("Failing.invite failed")]
    if where in APART:
        async with httpx.AsyncClient(base_url=app.address) as browser:
            answer = await browser.post("/api/guests", json={"guests": to_builtins(guests)})
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        told.append(answer.text)

    assert caught.value.code is Code.INTERNAL
    assert re.search(reason, told[2], re.IGNORECASE)
    assert not [each for each in (*told, caplog.text) if "s3cret" in each]


async def test_an_exception_two_hops_away_is_logged_once_and_says_where(app, caplog, logged):
    with pytest.raises(CallError) as caught:
        await app.client(Middle).crash()
    await logged("Failing.crash failed")

    assert (caught.value.code, caught.value.message.split()[0]) == (Code.INTERNAL, "Failing.crash")
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


@pytest.mark.parametrize("code", [each.value for each in Code])
async def test_a_call_error_passes_with_everything_it_says(app, code):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).refuse(code, happened=False, retry_after=None, fields=["a.b[2]", "é"])

    error = caught.value
    assert (error.code.value, error.message) == (code, "refused é")
    assert [(each.field, each.reason) for each in error.violations] == [
        ("a.b[2]", "a.b[2] is wrong"),
        ("é", "é is wrong"),
    ]
    assert error.retry_after is None


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.5, 3600.0])
async def test_how_long_to_wait_passes_to_the_caller(app, seconds):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).refuse("permission_denied", happened=True, retry_after=seconds, fields=[])

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(("what", "kept"), [("inf", None), ("nan", None), ("1e300", None), ("-1.0", 0.0)])
async def test_a_pause_that_no_wire_can_tell_is_none(app, what, kept):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).say(what)

    assert (caught.value.code, caught.value.message, caught.value.retry_after) == (Code.OUT_OF_RANGE, "wait", kept)


async def test_half_a_character_is_a_question_mark_in_an_error(app):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).say("half a character")

    error = caught.value
    assert (error.code, error.message) == (Code.OUT_OF_RANGE, "no ? é")
    assert [(each.field, each.reason) for each in error.violations] == [("name?", "is ?")]


async def test_an_error_of_many_words_is_still_that_error(app):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).say("much")

    assert caught.value.code is Code.OUT_OF_RANGE
    assert caught.value.message.startswith("é" * 10_000)


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.ABORTED, Code.INTERNAL, Code.NOT_FOUND, Code.OUT_OF_RANGE])
async def test_what_a_method_says_of_whether_it_did_something_is_believed(app, code, happened):
    with pytest.raises(CallError) as caught:
        await app.client(Failing).refuse(code.value, happened=happened, retry_after=None, fields=[])

    assert caught.value.may_have_happened is happened


async def test_where_a_method_does_not_say_it_a_refusal_did_nothing_and_any_other_code_may_have(app):
    definite, other = set(), set()
    for code in Code:
        with pytest.raises(CallError) as caught:
            await app.client(Failing).refuse(code.value, happened=None, retry_after=None, fields=[])
        (other if caught.value.may_have_happened else definite).add(code)

    assert definite == DEFINITE
    assert Code.UNAVAILABLE in other


async def test_a_call_below_that_did_nothing_does_not_say_so_of_the_service_between(app):
    with pytest.raises(CallError) as caught:
        await app.client(Middle).refuse("internal")

    assert caught.value.may_have_happened


async def test_a_plain_call_that_may_have_happened_is_not_sent_again(app):
    failing = app.client(Failing)
    before = await failing.count()
    with pytest.raises(CallError):
        await failing.refuse("unavailable", happened=True, retry_after=None, fields=[])

    assert await failing.count() == before + 1


async def test_a_call_error_passes_through_a_service_unchanged_and_marked_as_from_below(app):
    with pytest.raises(CallError) as caught:
        await app.client(Middle).refuse("not_found")

    error = caught.value
    assert error.private
    assert (error.code, error.message, error.retry_after) == (Code.NOT_FOUND, "refused é", 1.5)
    assert [each.field for each in error.violations] == ["a.b"]
