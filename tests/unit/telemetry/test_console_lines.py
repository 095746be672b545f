"""Lines for people are those of structlog's console, though most are made by a form of their kind."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from meristem.telemetry.console_lines import ConsoleLines, readable
from meristem.telemetry.logging import configure

BASE = {"timestamp": "2030-01-02T03:04:05.000006Z", "logger": "shop"}
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()))
TEXTS = st.text(max_size=12)
LINES = {colours: ConsoleLines(colours=colours) for colours in (False, True)}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@given(
    st.booleans(),
    TEXTS,
    st.sampled_from(["info", "error", "debug", "notice", ""]),
    st.dictionaries(
        st.one_of(st.text(max_size=5), st.sampled_from(["%s", "\x000\x00", "stack", "logger_name"])), VALUES
    ),
)
def test_a_line_is_that_of_structlog(colours: bool, text: str, level: str, more: dict[str, Any]):
    event = {**more, **BASE, "event": text, "level": level}
    if isinstance(event.get("stack"), (str, type(None))):
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
        for _ in range(2):
            assert LINES[colours].line(dict(event)) == renderer(None, "", dict(event))


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_stack_that_a_line_asks_for_is_where_it_is_written(form: Any):
    stream = io.StringIO()
    configure(format=form, stream=stream)

    def writes_plain() -> None:
        logging.getLogger("shop").info("here", stack_info=True)

    def writes_structured() -> None:
        structlog.get_logger("shop").info("here", stack_info=True)

    writes_plain()
    writes_structured()
    said = stream.getvalue()
    if form == "json":
        assert [each["event"] for each in map(json.loads, said.splitlines())] == ["here", "here"]
        said = "\n".join(json.loads(each)["stack"] for each in said.splitlines())
    assert said.count("in writes_plain") == said.count("in writes_structured") == 1
    assert "in format" not in said


def test_an_exception_of_structlog_stands_below_its_line():
    stream = io.StringIO()
    configure(format="console", stream=stream)
    try:
        [].index("no room")
    except ValueError:
        structlog.get_logger("shop").exception("failed", booking="b1")
    first, *below = stream.getvalue().splitlines()
    assert first.endswith("failed [shop] booking=b1")
    assert below[-1].startswith("ValueError: ")


@pytest.mark.parametrize("odd", [{"level": 30}, {"level": ["info"]}, {"exception": [{"type": "E"}]}, {"stack": 1}])
def test_lines_of_an_apps_own_that_only_look_like_ours_are_shown_as_they_are(odd: dict[str, Any]):
    line = json.dumps({**BASE, "event": "hello", "level": "info", **odd}).encode()
    assert readable(colours=False)(line) == line
