"""The `traceparent` and `tracestate` headers are read as W3C Trace Context, section 3, asks."""

import os
import random
import subprocess
import sys

import pytest

from meristem.context import Trace, Unseen, trace_state
from tests.suites.trace_context import CASES

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_header_is_read_and_written():
    trace = Trace.parse(f"00-{TRACE}-{SPAN}-01", "vendor=1")
    assert trace == Trace(TRACE, SPAN, sampled=True, state="vendor=1")
    assert trace.header() == f"00-{TRACE}-{SPAN}-01"


def test_ids_are_unique_and_well_formed_and_do_not_follow_the_global_seed():
    random.seed(1)
    first = [Trace.start() for _ in range(1000)]
    random.seed(1)
    second = [Unseen() for _ in range(1000)]
    assert len({trace.trace_id for trace in [*first, *second]}) == 2000
    assert all(Trace.parse(trace.header()) == trace.ids() for trace in [*first, *second])


FORKED = """
import os
from meristem.context import Trace

read, write = os.pipe()
if os.fork() == 0:
    os.write(write, Trace.start().trace_id.encode())
    os._exit(0)
os.wait()
print(os.read(read, 32).decode() != Trace.start().trace_id)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_a_forked_process_begins_traces_of_its_own():
    said = subprocess.run([sys.executable, "-c", FORKED], check=True, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == "True"


def test_an_unseen_trace_keeps_the_ids_that_it_was_first_asked_for():
    trace = Unseen()
    below = trace.child()
    assert below.trace_id == trace.trace_id
    assert trace.header() == f"00-{trace.trace_id}-{trace.span_id}-00"
    assert trace.ids() == Trace(trace.trace_id, trace.span_id)
    assert below.span_id != trace.span_id


def test_an_unseen_trace_goes_on_from_the_header_that_a_service_sent():
    came = f"00-{TRACE}-{SPAN}-00"
    trace = Unseen(came.encode())

    assert trace.header() == came
    assert (trace.trace_id, trace.child().trace_id) == (TRACE, TRACE)


@pytest.mark.parametrize(
    "came", [b"", b"00-\xff-00", f"00-{'0' * 32}-{SPAN}-00".encode(), f"ff-{TRACE}-{SPAN}-00".encode()]
)
def test_an_unseen_trace_begins_anew_where_what_came_is_malformed(came):
    trace = Unseen(came)

    assert Trace.parse(trace.header()) == trace.ids()
    assert trace.trace_id != TRACE


def test_fields_of_a_later_version_are_passed_over():
    assert Trace.parse(f"01-{TRACE}-{SPAN}-00-more") == Trace(TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-+{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_a_malformed_header_counts_as_absent(header):
    assert Trace.parse(header) is None


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.state])
def test_what_is_made_of_a_state_is_read_as_the_same(name):
    state = CASES[name].state
    assert trace_state(state) == state
    assert len(state) <= 512
