"""Waking a thread: in time, once, and for nothing when it has ended."""

import os
import threading

import pytest

from meristem.storage.sqlite.mailbox import Bell, Mailbox

PATIENCE = 30  # seconds


def test_a_thread_that_waits_is_woken_by_what_is_put():
    inbox: Mailbox[int] = Mailbox()
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.extend(inbox.get(timeout) for timeout in (None, PATIENCE, None)))
    thread.start()

    for number in range(3):
        inbox.put(number)
    thread.join(PATIENCE)

    assert taken == [0, 1, 2]
    inbox.close()


def test_a_wait_for_a_time_ends_with_it():
    inbox: Mailbox[int] = Mailbox()

    with pytest.raises(TimeoutError):
        inbox.get(timeout=0.001)
    inbox.put(1)

    assert inbox.get(timeout=0.001) == 1
    inbox.close()


def test_a_ring_of_before_ends_the_next_sleep_alone():
    bell = Bell()
    bell.doze()
    assert bell.ring()
    assert not bell.ring()

    bell.sleep(PATIENCE)
    bell.doze()
    bell.sleep(0.001)

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
