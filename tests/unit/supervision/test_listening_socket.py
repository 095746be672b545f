"""The socket that a supervisor holds beside its replica."""

import socket
from pathlib import Path

import pytest

from meristem.supervision.listening_socket import ListeningSocket


def connected(path: Path) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    try:
        caller.connect(str(path))
    except OSError:
        caller.close()
        raise
    return caller


def test_nobody_can_connect_before_a_process_listens(tmp_path: Path):
    held = ListeningSocket(tmp_path / "a.sock")

    with pytest.raises(ConnectionRefusedError):
        connected(held.path)
    held.close()


def test_who_connects_while_no_process_is_there_waits_for_the_next_one(tmp_path: Path):
    held = ListeningSocket(tmp_path / "a.sock")
    first = socket.socket(fileno=socket.dup(*held.descriptors))
    first.listen()
    first.close()  # the process has ended
    caller = connected(held.path)
    caller.send(b"hello")
    second = socket.socket(fileno=socket.dup(*held.descriptors))

    served, _ = second.accept()
    assert served.recv(5) == b"hello"
    for each in (served, second, caller):
        each.close()
    held.close()


def test_who_waits_is_told_that_it_was_not_served(tmp_path: Path):
    held = ListeningSocket(tmp_path / "a.sock")
    with socket.socket(fileno=socket.dup(*held.descriptors)) as replica:
        replica.listen()
    callers = [connected(held.path) for _ in range(3)]
    for caller in callers:
        caller.send(b"POST / HTTP/1.1\r\n\r\n")
    held.close()

    assert {caller.recv(100).split(b"\r\n")[0] for caller in callers} == {b"HTTP/1.1 408 Request Timeout"}
    assert not held.path.exists()
    for caller in callers:
        caller.close()


def test_what_cannot_be_bound_is_left_to_the_replica_which_says_why(tmp_path: Path):
    held = ListeningSocket(tmp_path / "missing" / "deep" / "a.sock")

    assert (held.address, held.descriptors) == (f"unix:{held.path}", ())
    held.refuse()
    held.close()


def test_a_folder_that_was_cleared_away_is_made_again_for_its_user_alone(tmp_path: Path):
    held = ListeningSocket(tmp_path / "run" / "a.sock")

    assert held.address.startswith("fd:")
    assert held.path.exists()
    assert held.path.parent.stat().st_mode & 0o777 == 0o700
    held.close()
