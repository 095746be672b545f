"""Waking a thread: in time, once, and for nothing when it has ended."""

import os
import threading

import pytest

from meristem.storage.sqlite.bell import Bell

PATIENCE = 30  # seconds


def test_a_thread_that_sleeps_is_woken_once():
    bell, asleep = Bell(), threading.Event()

    def sleep() -> None:
        bell.doze()
        asleep.set()
        bell.sleep()

    thread = threading.Thread(target=sleep)
    thread.start()
    assert asleep.wait(PATIENCE)

    assert bell.ring()
    assert not bell.ring()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    bell.close()


def test_a_thread_that_is_awake_is_not_rung_for():
    bell = Bell()
    bell.doze()
    bell.rise()

    assert not bell.ring()
    bell.close()


def test_ringing_for_a_thread_that_has_ended_does_nothing():
    bell = Bell()
    ends = [bell._hearing.fileno(), bell._ringing.fileno()]
    bell.doze()

    bell.close()

    assert not bell.ring()
    for end in ends:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(end)
