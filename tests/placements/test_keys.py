"""A key that a stranger chose counts for one user, one operation and one system, wherever services live."""

import asyncio
from contextlib import AbstractContextManager

import httpx
import pytest
from placed import APART
from systems.counters import Counter, Till

from meristem import CallError, Code, Context, Identity, using
from meristem.keys import scoped

SYSTEM = "systems.counters:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def asking(whose: str | None, key: str | None) -> AbstractContextManager[Context]:
    return using(Context(user=None if whose is None else Identity(whose), key=key))


async def refusal(work) -> CallError:
    with pytest.raises(CallError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize("first", ["buy", "order"])
async def test_one_key_of_two_users_and_of_two_operations_pays_for_each_of_their_goods(app, first):
    counter, second = app.client(Counter), {"buy": "rent", "order": "hire"}[first]
    answers = []
    for whose, name in (("ada", first), ("bob", first), ("bob", second), ("ada", second)):
        with asking(whose, "k1"):
            answers.append(await getattr(counter, name)("lamp"))

    assert len(set(answers)) == 4
    assert [answer.rpartition(" ")[2] for answer in answers] == ["ada", "bob", "bob", "ada"]


async def test_an_answer_is_given_again_to_its_own_user_alone(app):
    counter = app.client(Counter)
    with asking("carol", "mine"):
        carols = [await counter.order("lamp") for _ in range(2)]
    with asking("dan", "mine"):
        dans = [await counter.order("lamp") for _ in range(2)]

    assert (len(set(carols)), len(set(dans))) == (1, 1)
    assert carols[0] != dans[0]


@pytest.mark.parametrize("name", ["buy", "order"])
async def test_one_user_who_acts_for_two_tenants_has_two_keys_of_one_text(app, name):
    counter, answers = app.client(Counter), []
    for tenant in ("", "acme", "globex", "acme", ""):
        with using(Context(user=Identity("erin", tenant=tenant), key="ours")):
            answers.append(await getattr(counter, name)("lamp"))

    assert len(set(answers)) == 3, "an answer that was given to one tenant is none for another"
    assert answers == answers[:3] + answers[1::-1]


@pytest.mark.parametrize("name", ["buy", "order", "reserve", "clerk"])
@pytest.mark.parametrize("order", [(None, "eve"), ("eve", None)], ids=["anonymous first", "signed in first"])
async def test_the_same_request_first_anonymous_then_signed_in_or_the_reverse_is_refused_and_not_executed(
    app, name, order
):
    counter, till, key = app.client(Counter), app.client(Till), f"{name} {order}"
    ask = getattr(counter, name)
    with asking(order[0], key):
        answer = await ask("lamp")
    before = [await till.keys_of(each) for each in ("eve", "nobody", "clerk")]
    with asking(order[1], key):
        errors = [await refusal(ask("lamp")) for _ in range(2)]
    with asking(order[0], key):
        assert await ask("lamp") == answer

    assert {error.code for error in errors} == {Code.ALREADY_EXISTS}
    assert not errors[0].may_have_happened
    assert "use a new key" in errors[0].message
    assert [await till.keys_of(each) for each in ("eve", "nobody", "clerk")] == before


@pytest.mark.parametrize("name", ["order", "reserve"])
async def test_with_another_request_the_scopes_of_anonymous_and_signed_in_do_not_meet(app, name):
    counter, key = app.client(Counter), f"apart {name}"
    with asking(None, key):
        first = await getattr(counter, name)("lamp")
    with asking("frank", key):
        second = await getattr(counter, name)("sofa")

    assert (first.split()[0], second.split()[0]) == ("lamp", "sofa")
    assert first.split()[2:4] != second.split()[2:4]


@pytest.mark.parametrize("name", ["order", "reserve", "own"])
async def test_a_used_key_with_another_request_is_refused_as_a_conflict(app, name):
    counter = app.client(Counter)
    with asking("grace", f"used {name}"):
        await getattr(counter, name)("lamp")
        error = await refusal(getattr(counter, name)("sofa"))

    assert error.code is Code.ALREADY_EXISTS
    assert not error.may_have_happened
    assert error.message.endswith("this idempotency key was used for another request; use a new key")


async def test_two_users_with_one_key_do_not_wait_for_one_another(app):
    counter = app.client(Counter)
    with asking("heidi", "held"):
        waiting = asyncio.ensure_future(counter.held("lamp"))
    with asking("ivan", "held"):
        answer = asyncio.ensure_future(counter.held("sofa"))
    await counter.release("sofa")
    assert (await answer).endswith("ivan")
    assert not waiting.done()
    await counter.release("lamp")
    assert (await waiting).endswith("heidi")


async def test_while_a_request_is_answered_the_same_of_a_caller_signed_in_otherwise_is_refused_at_once(app):
    counter = app.client(Counter)
    asked = []
    for whose in ("judy", None):
        with asking(whose, "meanwhile"):
            asked.append(asyncio.ensure_future(counter.held("chair")))
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=15)  # whichever came later
    await counter.release("chair")

    [refused], [first] = done, waiting
    assert (await refusal(refused)).code is Code.ALREADY_EXISTS
    assert (await first).startswith("chair for payment")


async def test_the_keys_below_differ_by_user_also_where_the_call_is_made_for_another(app):
    counter = app.client(Counter)
    for whose in ("kim", "leo"):
        with asking(whose, "k1"):
            assert await counter.clerk("lamp") == await counter.clerk("lamp")
    keys = await app.client(Till).keys_of("clerk")

    assert len(set(keys)) == len(keys) >= 2


async def test_a_key_that_a_service_chooses_has_one_effect_and_its_answer_is_no_other_users(app):
    counter = app.client(Counter)
    first = await counter.keyed("invoice 7", "mia")
    again = await counter.keyed("invoice 7", "mia")
    errors = [await refusal(counter.keyed("invoice 7", whose)) for whose in ("noa", None)]

    assert again == first
    assert {error.code for error in errors} == {Code.ALREADY_EXISTS}
    assert len(await app.client(Till).keys_of("noa")) == 0


@pytest.mark.parametrize("name", ["order", "reserve"])
async def test_a_key_that_reads_like_one_of_somebody_elses_answers_finds_none(app, name):
    """Scoped keys are no secret: they stand in events, and with whom the service pays."""
    counter = app.client(Counter)
    with asking(None, f"secret {name}"):
        first = await getattr(counter, name)("lamp")
    known = scoped("counters", f"/parity.counter.v1.Counter/{name.title()}", None, f"secret {name}")
    with asking(None, known):
        second = await getattr(counter, name)("lamp")

    assert second != first


BAD = {"empty": "", "too long": "k" * 256, "not printable": "a\tb", "not ASCII": "schlüssel", "padded": " k"}


@pytest.mark.parametrize("key", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", ["buy", "order", "reserve"])
async def test_a_key_that_no_field_can_hold_is_an_invalid_argument(app, name, key):
    with asking("olga", key):
        error = await refusal(getattr(app.client(Counter), name)("lamp"))

    assert error.code is Code.INVALID_ARGUMENT
    assert not error.may_have_happened
    assert error.message.startswith(f"Counter.{name}: an idempotency key has 1 to 255 characters of printable ASCII")


async def test_the_longest_key_and_spaces_within_are_sound(app):
    for key in ("k" * 255, "a b", "~"):
        with asking("pia", key):
            assert await app.client(Counter).order("lamp") == await app.client(Counter).order("lamp")


async def test_an_operation_that_a_contract_inherits_is_answered_once_under_a_key_and_again_without(app):
    till = app.client(Till)
    with asking(None, "open"):
        first = [await till.open() for _ in range(2)]

    assert first[0] == first[1]
    assert await till.open() == first[0] + 1
    assert await app.client(Counter).opens() == 2


async def test_a_safe_call_has_no_key(app):
    for key in ("k", ""):
        with asking("quinn", key):
            assert await app.client(Counter).look() == "None"


async def test_rest_and_rpc_refuse_the_same_keys(app, where):
    if where not in APART:
        pytest.skip("only processes have a public port")
    wrong = {b"", b"k" * 256, "schlüssel".encode()}
    async with httpx.AsyncClient(base_url=app.address, headers={"authorization": "Bearer rita"}) as browser:
        for path in ("/api/order", "/api/buy", "/parity.counter.v1.Counter/Order", "/parity.counter.v1.Counter/Buy"):
            answers = [
                await browser.post(path, json={"item": "lamp"}, headers={b"idempotency-key": key}) for key in wrong
            ]
            assert {answer.status_code for answer in answers} == {400}
            assert {answer.json()["code"] for answer in answers} == {"invalid_argument"}
        looked = await browser.get("/api/look", headers={"idempotency-key": ""})

    assert (looked.status_code, looked.json()) == (200, "None")


async def test_strangers_by_rest_and_rpc_have_one_scope_for_each_user(app, where):
    if where not in APART:
        pytest.skip("only processes have a public port")
    async with httpx.AsyncClient(base_url=app.address, headers={"idempotency-key": "rest"}) as browser:

        async def ask(whose: str | None, path: str, item: str) -> httpx.Response:
            headers = {} if whose is None else {"authorization": f"Bearer {whose}"}
            return await browser.post(path, json={"item": item}, headers=headers)

        rest, rpc = "/api/order", "/parity.counter.v1.Counter/Order"
        by_rest, by_rpc = await ask("sam", rest, "lamp"), await ask("sam", rpc, "lamp")
        other, conflict = await ask("tom", rest, "lamp"), await ask("sam", rest, "sofa")
        anonymous = [await ask(None, path, "lamp") for path in (rest, rpc)]

    with asking("sam", "rest"):
        within = await app.client(Counter).order("lamp")
    assert by_rest.json() == by_rpc.json()["result"] == within
    assert other.json() != by_rest.json()
    assert (conflict.status_code, conflict.json()["code"]) == (409, "already_exists")
    assert [each.status_code for each in anonymous] == [409, 409]


@pytest.mark.parametrize("item", ["lamp", "sofa"])
@pytest.mark.parametrize("whose", [None, "uma"])
async def test_the_key_that_a_saga_without_one_was_given_finds_it_for_nobody(app, where, whose, item):
    """Whom its steps pay learns it: no stranger who does is given the answer, or a refusal that tells of the saga."""
    if where not in APART:
        pytest.skip("only processes have a public port")
    async with httpx.AsyncClient(base_url=app.address) as browser:
        first = (await browser.post("/api/sign", json={"item": "lamp"})).json()
        headers = {"idempotency-key": first.split()[0]}
        if whose is not None:
            headers["authorization"] = f"Bearer {whose}"
        second = await browser.post("/api/sign", json={"item": item}, headers=headers)

    assert (second.status_code, second.json() == first) == (200, False)
