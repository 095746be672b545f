"""An event loop that is held is told of, with the stack of what holds it, and counted."""

import asyncio
import logging
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from meristem.runtime.loop_watch import TURN, LoopLag, LoopWatch
from meristem.telemetry.metrics import Registry

LATE = 0.1


def think_hard(seconds: float) -> None:
    time.sleep(seconds)


def figures(registry: Registry) -> dict[str, float]:
    return {each.name: each.read()[()] for each in registry.measures()}


async def test_what_holds_the_event_loop_is_named_while_it_does_and_counted(caplog):
    registry = Registry()
    watch = LoopWatch(registry, late=LATE, beat=lambda: None, is_starting=lambda: True, lag=(lag := LoopLag()))
    await watch.start()
    think_hard(TURN + 4 * LATE)
    held = caplog.text
    await asyncio.sleep(TURN)
    assert lag.worst >= 4 * LATE
    await watch.stop()

    assert "the event loop has been held for" in held
    assert "think_hard(TURN + 4 * LATE)" in held
    assert "time.sleep(seconds)" in held
    assert "the event loop turns again after" in caplog.text
    assert figures(registry)["meristem_event_loop_held_total"] == 1
    assert figures(registry)["meristem_event_loop_held_seconds_total"] >= LATE


async def test_a_loop_that_turns_beats_and_is_not_told_of(caplog):
    caplog.set_level(logging.INFO)
    beats: list[float] = []
    watch = LoopWatch(registry := Registry(), late=60.0, beat=lambda: beats.append(time.monotonic()), is_starting=bool)
    await watch.start()
    await asyncio.sleep(2.5 * TURN)
    await watch.stop()
    ended = len(beats)
    await asyncio.sleep(1.5 * TURN)

    assert len(beats) == ended >= 2
    assert caplog.text == ""
    assert figures(registry)["meristem_event_loop_held_total"] == 0


@pytest.mark.parametrize("starting", [True, False])
async def test_what_is_imported_is_told_of_only_once_it_keeps_calls_waiting(
    caplog, monkeypatch, tmp_path: Path, starting: bool
):
    (tmp_path / "slow_to_import.py").write_text(f"import time\ntime.sleep({TURN + 8 * LATE})\n")
    monkeypatch.syspath_prepend(tmp_path)
    watch = LoopWatch(registry := Registry(), late=LATE, beat=lambda: None, is_starting=lambda: starting)
    await watch.start()
    import_module("slow_to_import")
    del sys.modules["slow_to_import"]
    await asyncio.sleep(TURN)
    await watch.stop()

    assert ("the event loop has been held for" in caplog.text) is not starting
    assert figures(registry)["meristem_event_loop_held_total"] == 1
