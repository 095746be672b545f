"""Logs: what every line carries, in both forms, from both kinds of logger."""

import io
import json
import logging
import subprocess
import sys

import pytest
import structlog

from meristem.context import Context, Place, Trace, Unseen, using
from meristem.errors import ConfigurationError
from meristem.telemetry.console_lines import readable
from meristem.telemetry.log_handler import LogHandler
from meristem.telemetry.logging import configure, follow_structlog

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored():
    """The root logger and structlog as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_of_both_kinds_of_logger_carry_the_running_call():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    with using(Context(trace=TRACE, caller="web", place=Place("payments", "Payments.charge"))):
        logging.getLogger("shop.stdlib").info("charged %s", "12 EUR", extra={"booking": "b1"})
        structlog.get_logger("shop.structlog").info("charged", booking="b1")
    first, second = lines(stream)
    for line in (first, second):
        assert line["trace_id"] == TRACE.trace_id
        assert line["span_id"] == TRACE.span_id
        assert (line["service"], line["operation"], line["caller"]) == ("payments", "Payments.charge", "web")
        assert (line["level"], line["booking"]) == ("info", "b1")
        assert line["timestamp"].endswith("Z")
    assert (first["event"], first["logger"]) == ("charged 12 EUR", "shop.stdlib")
    assert second["logger"] == "shop.structlog"


def test_all_lines_of_an_unsampled_call_and_of_the_calls_below_carry_one_id():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    trace = Unseen()
    with using(Context(trace=trace)):
        with using(Context(trace=trace, caller="web")):
            logging.getLogger("shop").info("below")
        logging.getLogger("shop").info("above")
    below, above = lines(stream)
    assert (below["trace_id"], below["span_id"]) == (above["trace_id"], above["span_id"])
    assert trace.header() == f"00-{above['trace_id']}-{above['span_id']}-00"


def test_outside_of_a_call_there_is_nothing_to_carry():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    logging.getLogger("shop").warning("alone")
    assert set(lines(stream)[0]) == {"event", "level", "logger", "timestamp"}


def test_an_exception_is_one_json_line_with_its_traceback_and_without_local_variables():
    stream = io.StringIO()
    configure(format="json", stream=stream)

    def fails(password: str) -> None:
        raise ValueError(f"bad {len(password)}")

    try:
        fails("".join(["hun", "ter2"]))
    except ValueError:
        logging.getLogger("shop").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: bad 7" in line["exception"]
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_shows_the_password_of_a_url(form):
    stream = io.StringIO()
    configure(format=form, stream=stream)
    url = "amqp://app:s3cret@broker"
    logging.getLogger("shop.stdlib").info("at %s", url, extra={"url": url})
    structlog.get_logger("shop.structlog").info("at it", url=url)
    error = ConnectionError(f"no answer from {url}")
    logging.getLogger("shop.stdlib").error("gone", exc_info=error)

    assert "s3cret" not in stream.getvalue()
    assert stream.getvalue().count("amqp://app:***@broker") == 4


def test_values_that_json_does_not_know_are_written_as_their_repr():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    structlog.get_logger().info("odd", value=3 + 4j, mapping={(1, 2): object})
    assert "3+4j" in stream.getvalue()
    assert lines(stream)[0]["event"].strip("'") == "odd"


def test_lines_below_the_level_are_not_written():
    stream = io.StringIO()
    configure(format="json", level="warning", stream=stream)
    logging.getLogger("shop").info("quiet")
    structlog.get_logger("shop").info("quiet")
    structlog.get_logger("shop").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere():
    terminal, file = Terminal(), io.StringIO()
    configure(stream=terminal)
    logging.getLogger("shop").info("hello")
    configure(stream=file)
    logging.getLogger("shop").info("hello")
    assert "\x1b[" in terminal.getvalue()
    assert lines(file)[0]["event"] == "hello"


def test_console_lines_off_a_terminal_have_no_colours():
    stream = io.StringIO()
    configure(format="console", stream=stream)
    with using(Context(trace=TRACE)):
        logging.getLogger("shop").info("hello")
    assert "\x1b[" not in stream.getvalue()
    assert "hello" in stream.getvalue()
    assert f"trace_id={TRACE.trace_id}" in stream.getvalue()


def test_configuring_again_replaces_the_handler():
    for _ in range(3):
        configure(format="json", stream=io.StringIO())
    assert sum(isinstance(handler, LogHandler) for handler in logging.getLogger().handlers) == 1


def test_an_unknown_level_is_refused():
    with pytest.raises(ConfigurationError, match="no log level 'LOUD'"):
        configure(level="LOUD")


def run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()


def test_json_lines_do_not_import_structlog_and_what_it_brings_along():
    said = run(
        "import logging, sys; from meristem.telemetry.logging import configure; configure(format='json')\n"
        "logging.getLogger('shop').warning('hello')\n"
        "print([name for name in ('structlog', 'rich', 'attr') if name in sys.modules])"
    )
    assert said[0] == "[]"
    assert json.loads(said[1])["event"] == "hello"


def test_structlog_that_is_imported_later_goes_the_same_way():
    (line,) = run(
        "from meristem.telemetry.logging import configure, follow_structlog; configure(format='json')\n"
        "import structlog; log = structlog.get_logger('shop'); follow_structlog()\n"
        "structlog.contextvars.bind_contextvars(tenant='t1'); log.info('hello', booking='b1')"
    )
    said = json.loads(line)
    assert (said["event"], said["booking"], said["tenant"], said["logger"]) == ("hello", "b1", "t1", "shop")


def test_lines_of_the_standard_library_carry_what_structlog_bound():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    with structlog.contextvars.bound_contextvars(tenant="t1"):
        logging.getLogger("shop").info("hello")
    assert lines(stream)[0]["tenant"] == "t1"


def test_an_application_that_configured_structlog_keeps_what_it_chose():
    stream = io.StringIO()
    configure(format="json", stream=stream)
    structlog.reset_defaults()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    follow_structlog()
    assert structlog.get_logger().msg("hello") == "event='hello'"


def test_without_logs_of_ours_structlog_is_left_alone():
    for each in [each for each in logging.getLogger().handlers if isinstance(each, LogHandler)]:
        logging.getLogger().removeHandler(each)
    follow_structlog()
    assert not structlog.is_configured()


def test_a_line_in_json_is_shown_as_the_console_would_have_written_it():
    as_json, as_console = io.StringIO(), io.StringIO()
    for form, stream in (("json", as_json), ("console", as_console)):
        configure(format=form, stream=stream)
        error = LookupError("no such room")
        logging.getLogger("shop").error("not booked: %s", "b1", exc_info=error, extra={"booking": "b1"})
    shown = readable(colours=False)(as_json.getvalue().strip().encode()).decode()
    # all but the instant, which stands in front
    assert shown.split()[1:] == as_console.getvalue().split()[1:]
    assert "LookupError: no such room" in shown


@pytest.mark.parametrize("line", [b"plain", b"", b"{", b"[1]", b'{"event": "an app\'s own"}', b'{"id": 1}', b"\xff{"])
def test_other_lines_are_shown_as_they_are(line: bytes):
    assert readable(colours=True)(line) == line
