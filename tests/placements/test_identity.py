"""Who calls, for whom and in which trace travels with every call; nobody outside can claim it."""

import httpx
import pytest
from placed import APART
from systems.hops import MOOD, Far, Mid, Near

from meristem import CallError, Code, Context, Identity, using
from meristem.context import Trace

SYSTEM = "systems.hops:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")
ADA = Identity("ada", "Ada Lovelace é", ("guest", "admin"))
TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)


async def test_the_user_is_carried_over_every_hop(app):
    with using(Context(user=ADA)):
        hops = await app.client(Near).seen()

    assert [(hop.user, hop.roles) for hop in hops] == [("ada", ("guest", "admin"))] * 3


async def test_each_hop_knows_which_service_calls(app):
    hops = await app.client(Near).seen()

    assert [hop.caller for hop in hops] == [None, "near", "mid"]
    assert [hop.operation for hop in hops] == ["Near.seen", "Mid.seen", "Far.seen"]


async def test_a_trace_is_one_over_every_hop(app):
    with using(Context(trace=TRACE)):
        hops = await app.client(Near).seen()

    assert {hop.trace for hop in hops} == {TRACE.trace_id}


async def test_without_a_trace_the_first_hop_begins_one_that_all_share(app):
    hops = await app.client(Near).seen()

    assert len({hop.trace for hop in hops}) == 1


async def test_nothing_of_one_call_is_left_for_the_next(app):
    with using(Context(user=ADA, trace=TRACE)):
        await app.client(Near).seen()
    hops = await app.client(Near).seen()

    assert {hop.user for hop in hops} == {None}


async def test_an_operation_for_users_alone_is_refused_without_one(app):
    for work in (app.client(Far).whoami(), app.client(Mid).whoami()):
        with pytest.raises(CallError) as caught:
            await work
        assert caught.value.code is Code.UNAUTHENTICATED
        assert caught.value.message == "Far.whoami: sign in first"
    with using(Context(user=ADA)):
        assert [await app.client(Far).whoami(), await app.client(Mid).whoami()] == ["ada", "ada"]


async def test_middleware_of_the_system_sees_the_context_and_may_refuse(app):
    with using(Context(user=Identity("blocked"))), pytest.raises(CallError) as caught:
        await app.client(Near).seen()

    assert caught.value.code is Code.PERMISSION_DENIED
    assert caught.value.message == "Near.seen: blocked users may not"


async def test_a_user_cannot_be_forged_from_outside(app, where):
    """At the public port only a verified token says who calls: headers of anybody's own say nothing."""
    if where not in APART:
        pytest.skip("only processes have a public port")
    forged = {
        "meristem-token": "eyJzdWJqZWN0IjoiZXZlIn0.AAAA",
        "x-user": "eve",
        "meristem-user": "eve",
        "meristem-caller": "mid",
    }
    bearer = {"authorization": "Bearer nobody"}
    async with httpx.AsyncClient(base_url=app.address) as browser:
        whoami = await browser.post("/api/whoami", headers=forged | bearer)
        refused = await browser.post("/parity.hops.v1.Far/PublicWhoami", headers=forged | bearer, json={})
        plain = await browser.post("/parity.hops.v1.Far/PublicSeen", headers=forged, json={})
        internal = await browser.post("/parity.hops.v1.Far/Whoami", headers=forged, json={})
        known = await browser.post("/api/whoami", headers={"authorization": "Bearer user-ada"})

    assert (whoami.status_code, refused.status_code) == (401, 401)
    assert (plain.status_code, internal.status_code) == (200, 403)
    assert (plain.json()["user"], plain.json()["caller"]) == (None, None)
    assert (known.status_code, known.json()) == (200, "ada")


async def test_a_bearer_token_carries_the_same_user_by_rest_and_by_rpc(app, where):
    if where not in APART:
        pytest.skip("only processes have a public port")
    ada, rpc = {"authorization": "Bearer user-ada"}, "/parity.hops.v1.Far"
    async with httpx.AsyncClient(base_url=app.address, headers=ada) as browser:
        by_rest, by_rpc = await browser.post("/api/seen"), await browser.post(f"{rpc}/PublicSeen", json={})
        whoami = await browser.post(f"{rpc}/PublicWhoami", json={})
        internal = await browser.post(f"{rpc}/Whoami", json={})

    assert (by_rest.json()["user"], by_rpc.json()["user"]) == ("ada", "ada")
    assert by_rest.json()["caller"] == by_rpc.json()["caller"]
    assert (whoami.status_code, whoami.json()) == (200, {"result": "ada"})
    assert internal.status_code == 403


@pytest.mark.parametrize(
    ("ends", "seen"),
    [
        ("at once", "nobody's"),
        ("after a wait", "nobody's, then the callee's"),
        ("badly", "nobody's, then the callee's"),
    ],
)
async def test_context_variables_of_caller_and_callee_stay_their_own(app, ends, seen):
    for _ in range(2):  # nor does a call leave anything to the next one
        assert await app.client(Mid).mood(ends) == [seen, "the caller's"]


async def test_a_call_leaves_nothing_in_the_variables_of_a_test(app):
    await app.client(Far).mood("after a wait")

    assert MOOD.get() == "nobody's"
