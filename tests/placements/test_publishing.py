"""An event is published for the user and in the trace of the work that publishes it, in whatever way that runs."""

import pytest
from systems.heralds import TICKS, Herald, Nobody, Scribe

from meristem import Context, Identity, using
from meristem.context import Trace

SYSTEM = "systems.heralds:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")
ADA = Identity("ada", "Ada", ("guest",))
TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
MINE = ("ada", ("guest",), TRACE.trace_id)


@pytest.mark.parametrize(
    ("ask", "ways"),
    [
        ("plain", {"plain", "on"}),
        ("kept", {"kept"}),
        ("step", {"step", "branch 0", "branch 1"}),
        ("late", {"late"}),
        ("undo", {"done", "undone"}),
    ],
)
async def test_user_and_trace_go_on_with_the_event(app, ask, ways):
    with using(Context(user=ADA, trace=TRACE, key=ask)):
        try:
            await getattr(app.client(Herald), ask)(ask)
        except Nobody:
            assert ask == "undo"
    heard = await app.client(Scribe).heard(ask, len(ways))

    assert {each.way: (each.user, each.roles, each.trace) for each in heard} == dict.fromkeys(ways, MINE)


async def test_what_came_of_an_event_is_below_what_published_it(app, where):
    if where != "local":
        pytest.skip("spans of a service that is reached by a wire are those of its own assembly")
    trace = Trace("1bf92f3577b34da6a3ce929d0e0e4736", TRACE.span_id, sampled=True)
    with using(Context(user=ADA, trace=trace, key="connected")):
        await app.client(Herald).plain("connected")
    await app.client(Scribe).heard("connected", 2)
    await app.settled()
    spans = app.telemetry.recent.trace(trace.trace_id)

    handled = [each for each in spans if each.kind == "consumer"]
    assert {each.attributes["user.id"] for each in handled} == {"ada"}
    known = {each.span_id for each in spans} | {trace.span_id}
    assert handled
    assert [each.name for each in spans if each.parent_id not in known] == []


async def test_the_user_is_the_one_for_whom_it_is_published_not_the_one_of_the_commit(app):
    with using(Context(user=ADA, trace=TRACE)):
        await app.client(Herald).for_another("another")
    heard = await app.client(Scribe).heard("another", 2)

    assert [(each.way, each.user) for each in heard] == [("own", "ada"), ("another's", "bob")]
    assert {each.trace for each in heard} == {TRACE.trace_id}


async def test_a_periodic_run_publishes_for_nobody_but_whom_it_names(app):
    heard = await app.client(Scribe).heard(TICKS, 2)

    assert [(each.way, each.user, each.trace) for each in heard[:2]] == [
        ("nobody's", None, None),
        ("clock's", "clock", "1" * 32),
    ]


async def test_a_handler_that_fails_shows_each_error_s_traceback_once_and_a_line_for_each_attempt(app, caplog, logged):
    await app.client(Herald).mutter("hm")
    buried = await logged("is a dead letter after 4 attempts")

    lines = [caplog.handler.format(record) for record in caplog.records]
    tracebacks = [each for each in lines if "Traceback (most recent call last)" in each]
    assert ["make_out" in each for each in tracebacks] == [True, True]
    assert "KeyError: 'hm'" in tracebacks[0]
    assert "KeyError: 'at the last attempt'" in tracebacks[1]
    attempts = [each for each in lines if "did not handle" in each]
    assert len(attempts) == 3
    assert all("KeyError: 'hm'" in each for each in attempts)
    assert "KeyError: 'at the last attempt'" in buried
