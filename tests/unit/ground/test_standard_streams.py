"""What a process prints keeps it waiting for nobody, whoever reads there or does not."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meristem import standard_streams
from meristem.standard_streams import ScreenWriter, write_now

PAGE = 4096  # bytes of the smallest pipe
LINE = b"x" * 99 + b"\n"


class Pipe:
    """A small pipe whose reader takes what it wants, when it wants."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PAGE)

    def read_until(self, part: bytes) -> bytes:
        """All that comes until `part` has; the suite's own limit ends a wait in vain."""
        return self.read_while(lambda text: part not in text)

    def read_while(self, wants: Callable[[bytes], bool]) -> bytes:
        """All that comes as long as more is wanted."""
        text = b""
        while wants(text):
            text += os.read(self.reading, PAGE)
        return text


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.writing)
    if made.reading is not None:
        os.close(made.reading)


def test_a_line_that_is_taken_is_there_at_once_and_starts_no_thread(pipe: Pipe):
    before = threading.active_count()
    ScreenWriter(pipe.writing).write(b"hello\n")

    os.set_blocking(pipe.reading, False)
    assert os.read(pipe.reading, PAGE) == b"hello\n"
    assert threading.active_count() == before


def test_what_others_have_of_the_same_pipe_blocks_as_before(pipe: Pipe):
    ScreenWriter(pipe.writing).write(b"hello\n")

    assert os.get_blocking(pipe.writing)


@pytest.mark.parametrize("reopens", [True, False], ids=["at once", "by the thread alone"])
def test_what_is_not_read_waits_for_the_reader_in_its_order(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, reopens: bool):
    if not reopens:  # a pipe of another user
        monkeypatch.setattr(standard_streams, "_without_waiting", lambda _: None)
    writer = ScreenWriter(pipe.writing)
    lines = [b"line %d\n" % number for number in range(3000)]
    for each in lines:
        assert writer.write(each) == len(each)
    writer.write(b"end")

    assert pipe.read_until(b"end") == b"".join(lines) + b"end"


def test_beyond_the_bound_lines_are_dropped_counted_and_told_of_once_the_rest_is_read(pipe: Pipe):
    writer = ScreenWriter(pipe.writing, bound=10 * len(LINE))
    for _ in range(200):
        writer.write(LINE)
    *kept, told, end = pipe.read_until(b"read\n").split(b"\n")

    assert end == b""
    assert set(kept) == {LINE[:-1]}
    assert told.decode() == f"… {200 - len(kept)} lines were dropped while the screen was not read"
    assert len(kept) * len(LINE) <= PAGE + 11 * len(LINE)

    writer.write(b"and on\n")
    assert pipe.read_until(b"\n") == b"and on\n"


def test_what_is_dropped_begins_no_line_in_the_midst_of_another(pipe: Pipe):
    writer = ScreenWriter(pipe.writing, bound=1)
    writer.write(b"y" * 2 * PAGE)
    writer.write(b"rest of it\n")

    assert pipe.read_until(b"read\n").endswith("y\n… 1 line was dropped while the screen was not read\n".encode())


def test_a_screen_that_is_gone_is_forgotten(pipe: Pipe):
    writer = ScreenWriter(pipe.writing)
    writer.write(b"y" * 2 * PAGE)  # the thread waits for the reader
    os.close(pipe.reading)
    pipe.reading = None

    assert writer.write(b"x\n") == 2
    writer.finish(60)  # returns, as nothing waits any more
    assert writer.write(b"x\n") == 2


def test_a_socket_takes_lines_without_keeping_anybody_waiting():
    ours, its = socket.socketpair()
    with ours, its:
        writer = ScreenWriter(its.fileno())
        for _ in range(20_000):
            writer.write(LINE)
        assert ours.recv(len(LINE), socket.MSG_WAITALL) == LINE


def test_a_full_disk_is_told_of_when_it_has_room_again(tmp_path: Path):
    with Path("/dev/full").open("wb", buffering=0) as full, (tmp_path / "log").open("wb", buffering=0) as log:
        writer = ScreenWriter(full.fileno())
        writer.write(b"one\ntwo\n")
        writer.write(b"three\n")
        writer._put = log.write
        writer.write(b"four\n")

    told = "… 3 lines were dropped as the disk took none (No space left on device)"
    assert (tmp_path / "log").read_text() == f"{told}\nfour\n"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_what_waits_is_written_once_though_the_process_forks(pipe: Pipe):
    writer = ScreenWriter(pipe.writing)
    writer.write(b"y" * PAGE)
    writer.write(b"parent\n")
    child = os.fork()
    if child == 0:
        writer.write(b"child\n")
        writer.finish(60)
        os._exit(0)
    text = pipe.read_until(b"child\n")
    os.waitpid(child, 0)

    assert sorted(text.replace(b"y", b"").split()) == [b"child", b"parent"]


def test_the_last_word_of_a_process_waits_for_no_reader(pipe: Pipe):
    write_now(pipe.writing, b"x" * PAGE)
    write_now(pipe.writing, b"lost")

    assert os.read(pipe.reading, 2 * PAGE) == b"x" * PAGE


PRINTS = """
import logging, sys
from meristem.standard_streams import unblock
unblock()
logging.basicConfig()
assert (sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.name) == (1, 2, "<stdout>")
for _ in range({count}):
    print("x" * 99)
    logging.error("x" * 99)
print("é", end="")
"""


def begun(count: int, writing: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PRINTS.format(count=count)], stdout=writing, stderr=writing)


def test_a_program_whose_screen_nobody_reads_prints_logs_and_ends(pipe: Pipe):
    with begun(20_000, pipe.writing) as program:
        assert program.wait(60) == 0

    assert os.read(pipe.reading, PAGE)


def test_a_program_that_ends_leaves_nothing_to_who_reads(pipe: Pipe):
    with begun(500, pipe.writing) as program:
        # Output and errors are written side by side: the last word of one may come before lines of the other.
        text = pipe.read_while(lambda text: text.count(LINE) < 1000 or "é".encode() not in text)
        assert program.wait(60) == 0

    assert text.count(LINE) == 1000
