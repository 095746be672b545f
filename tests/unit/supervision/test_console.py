"""Lines of many processes on one screen."""

import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meristem.supervision.console import LONGEST, Console, Lines


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@given(st.lists(st.binary(max_size=40)))
def test_lines_come_out_as_they_went_in_however_they_were_cut(pieces: list[bytes]):
    lines = Lines()
    found = [line for piece in pieces for line in lines.feed(piece)] + lines.flush()

    text = b"".join(pieces)
    expected = text.split(b"\n")
    assert found == [each.rstrip(b"\r") for each in (expected if expected[-1] else expected[:-1])]


def test_a_long_line_is_shown_in_pieces_that_break_no_character():
    text = "a" + "é" * LONGEST
    lines = Lines()
    found = [*lines.feed(text.encode()), *lines.feed(b"\n")]

    assert "".join(each.decode() for each in found) == text
    assert all(len(each) <= LONGEST for each in found)


def test_memory_is_bounded_by_a_stream_without_ends():
    lines = Lines()
    for _ in range(100):
        lines.feed(b"x" * LONGEST)

    assert len(lines.flush()[0]) <= LONGEST


def test_each_line_stands_behind_its_label():
    screen = io.BytesIO()
    console = Console(screen, ["edge-0", "meristem"], {})
    console.write("edge-0", b"hello")

    assert screen.getvalue() == b"edge-0   | hello\n"


def test_what_a_line_is_shown_as_stands_behind_its_label_too():
    screen = io.BytesIO()
    console = Console(screen, ["edge-0"], {}, lambda line: line.replace(b"; ", b"\n"))
    console.write("edge-0", b"failed; because")

    assert screen.getvalue() == b"edge-0 | failed\nedge-0 | because\n"


def test_replicas_of_a_process_share_a_colour_and_others_differ():
    screen = Terminal()
    console = Console(screen, ["edge-0", "edge-1", "stock-0"], {})
    for label in ("edge-0", "edge-1", "stock-0"):
        console.write(label, b"x")
    colours = [line.partition(b"m")[0] for line in screen.getvalue().splitlines()]

    assert colours[0] == colours[1] != colours[2]


@pytest.mark.parametrize(("screen", "environment"), [(Terminal(), {"NO_COLOR": "1"}), (io.BytesIO(), {})])
def test_there_is_no_colour_where_it_is_not_wanted(screen: io.BytesIO, environment: dict[str, str]):
    Console(screen, ["edge-0"], environment).write("edge-0", b"x")

    assert b"\x1b" not in screen.getvalue()


class Counting(io.BytesIO):
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1
        super().flush()


async def test_the_lines_of_a_turn_reach_the_screen_together():
    screen = Counting()
    console = Console(screen, ["edge-0"], {})
    console.write("edge-0", b"x")
    console.write("edge-0", b"y")
    await asyncio.sleep(0)
    console.write("edge-0", b"z")
    await asyncio.sleep(0)

    assert (screen.flushed, screen.getvalue()) == (2, b"edge-0 | x\nedge-0 | y\nedge-0 | z\n")
