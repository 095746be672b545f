"""Lines of the access log: collected where the handler of ours alone would take them, else handled as any line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from meristem.context import Context, Place, Trace
from meristem.telemetry.http_requests import log_request, logger
from meristem.telemetry.log_handler import MOST, WHOLE, LogHandler, sole_handler
from meristem.telemetry.logging import configure as configure_logs

CONTEXT = Context(
    trace=Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"), place=Place("pages", "GET /a"), caller="web"
)
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Counting(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The root logger and structlog as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configure(**options: Any) -> None:
    """Have no handler but ours: neither those by which pytest sees lines."""
    logging.getLogger().handlers.clear()
    configure_logs(**options)


def told(path: str = "/cart", context: Context = CONTEXT, how: str = "") -> None:
    log_request("GET", path, "192.0.2.1", 200, 0.0123456789, context, how)


def taker() -> LogHandler | None:
    return sole_handler(logger, logging.INFO)


@pytest.mark.parametrize("form", ["json", "console", "terminal"])
@pytest.mark.parametrize("bound", [{}, {"tenant": "a b", "n": 1}])
def test_a_line_is_the_same_by_both_ways(form: str, bound: dict[str, object]):
    written = []
    for is_watched in (False, True):
        stream = Terminal() if form == "terminal" else io.StringIO()
        configure(format="json" if form == "json" else "console", stream=stream)
        with contextlib.ExitStack() as stack, structlog.contextvars.bound_contextvars(**bound):
            if is_watched:
                logger.addFilter(watching := logging.Filter())
                stack.callback(logger.removeFilter, watching)
            assert (taker() is None) is is_watched
            told()
            told("/at/http://ann:s3cret@host/100%", Context(), ", cut off")
        text = stream.getvalue()
        assert text.count("\n") == 2
        assert "s3cret" not in text
        assert ("\x1b[" in text) is (form == "terminal")
        written.append(TIMES.sub("T", text))
    assert written[0] == written[1]


def test_a_line_in_json_has_what_every_line_has_and_its_request():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    told()
    said = json.loads(stream.getvalue())
    assert TIMES.fullmatch(said.pop("timestamp"))
    assert said == {
        "event": "GET /cart 200", "level": "info", "logger": "meristem.access", "client": "192.0.2.1", "status": 200,
        "seconds": 0.012346, "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
        "service": "pages", "operation": "GET /a", "caller": "web",
    }  # fmt: skip


def test_who_asks_for_lines_gets_records_of_them():
    configure(format="json", stream=io.StringIO())
    root, records = logging.getLogger(), list[logging.LogRecord]()

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    for owner in (root, logging.getLogger("meristem"), logger):
        owner.addHandler(handler := Keeping())
        told()
        owner.removeHandler(handler)
    assert [each.getMessage() for each in records] == ["GET /cart 200"] * 3
    assert {each.status for each in records} == {200}  # type: ignore[attr-defined]
    assert taker() is not None


def test_whatever_changes_a_line_is_asked():
    configure(format="json", stream=io.StringIO())
    ours = taker()
    assert ours is not None
    ours.addFilter(changing := logging.Filter())
    assert taker() is None
    ours.removeFilter(changing)
    ours.setFormatter(logging.Formatter())
    assert taker() is None
    ours.setFormatter(ours.events)
    ours.setLevel(logging.ERROR)
    assert taker() is None
    ours.setLevel(logging.NOTSET)
    logger.propagate = False
    assert taker() is None
    logger.propagate = True
    assert taker() is ours


def test_tools_that_watch_all_logs_see_every_line(monkeypatch):
    configure(format="json", stream=io.StringIO())
    seen = []
    library = logging.Logger.callHandlers

    def watched(self: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.getMessage())
        library(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", watched)
    told()
    monkeypatch.undo()
    logging.setLogRecordFactory(lambda *args, **more: seen.append("made") or logging.LogRecord(*args, **more))
    told()
    logging.setLogRecordFactory(logging.LogRecord)
    told()
    assert seen == ["GET /cart 200", "made"]


def test_logs_that_are_disabled_have_no_line():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    logging.disable(logging.INFO)
    told()
    logging.disable(logging.NOTSET)
    configure(format="json", level="warning", stream=stream)
    told()
    assert stream.getvalue() == ""


async def test_the_lines_of_a_turn_are_written_together_and_before_any_other_line():
    stream = Counting()
    configure(format="json", stream=stream)
    told("/1")
    told("/2")
    assert stream.pieces == []
    await asyncio.sleep(0)
    assert [each.count("\n") for each in stream.pieces] == [2]
    told("/3")
    logging.getLogger("shop").info("other")
    assert [json.loads(each)["event"].split()[-2:] for each in stream.getvalue().splitlines()] == [
        ["/1", "200"], ["/2", "200"], ["/3", "200"], ["other"],
    ]  # fmt: skip


async def test_a_line_waits_in_no_loop_that_has_ended():
    stream = io.StringIO()
    configure(format="json", stream=stream)

    async def stopped() -> None:
        told("/1")
        asyncio.get_running_loop().stop()

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        ending = loop.create_task(stopped())
        loop.run_forever()
        assert ending.done()
        loop.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    told("/2")
    await asyncio.sleep(0)
    assert stream.getvalue().count("\n") == 2


async def test_pieces_are_whole_lines_that_a_pipe_takes_at_once():
    stream = Counting()
    configure(format="json", stream=stream)
    for number in range(40):
        told(f"/{number}/{'x' * (number * 10)}")
    told("/é")
    await asyncio.sleep(0)
    told("/" + "x" * (2 * WHOLE))
    assert all(each.endswith("\n") for each in stream.pieces)
    assert all(len(each.encode()) <= WHOLE or each.count("\n") == 1 for each in stream.pieces)
    assert stream.getvalue().count("\n") == 42


async def test_what_is_collected_is_bounded():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    for _ in range(MOST + 1):
        told()
    assert stream.getvalue().count("\n") == MOST


class Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


async def test_a_stream_that_is_gone_breaks_no_request(monkeypatch, capsys):
    for stream in (Gone(), closed := io.StringIO()):
        closed.close()
        configure(format="json", stream=stream)
        told()
        await asyncio.sleep(0)
        assert "--- Logging error ---" in capsys.readouterr().err
        monkeypatch.setattr(sys, "stderr", closed)
        told()
        await asyncio.sleep(0)
        logging.getLogger("shop").info("other")
        monkeypatch.undo()


def run(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    begin = (
        "import asyncio, logging, os\n"
        "from meristem.context import Context\n"
        "from meristem.telemetry.http_requests import log_request\n"
        "from meristem.telemetry.logging import configure\n"
        "configure(format='json')\n"
        "def told(path='/'): log_request('GET', path, '', 200, 0.1, Context())\n"
    )
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", begin + program], text=True, check=True, **{"capture_output": True} | options
    )


def test_nothing_is_lost_when_a_process_ends_nor_told_twice_by_what_it_forked():
    said = run(
        "async def main():\n"
        "    told('/1')\n"
        "    if (child := os.fork()) == 0:\n"
        "        logging.shutdown(); os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    asyncio.get_running_loop().stop()\n"
        "loop = asyncio.new_event_loop(); made = loop.create_task(main()); loop.run_forever()\n"
    )
    assert [json.loads(each)["event"] for each in said.stderr.splitlines()] == ["GET /1 200"]


def test_a_pipe_that_is_full_holds_the_lines_until_it_is_read():
    reading, writing = os.pipe()
    done = threading.Thread(
        target=run, args=("for _ in range(2000): told()\n",), kwargs={"capture_output": False, "stderr": writing}
    )
    done.start()
    found = b""
    while found.count(b"\n") < 2000:
        found += os.read(reading, 65536)
    done.join()
    os.close(reading)
    os.close(writing)
    assert all(json.loads(each)["event"] == "GET / 200" for each in found.splitlines())
