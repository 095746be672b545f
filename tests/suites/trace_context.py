"""The cases of W3C Trace Context, section 3, as the recommendation's own tests have them: what comes of which lines."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, NamedTuple

PATIENCE: Final = 60  # seconds
TRACE: Final = "12345678901234567890123456789012"
SPAN: Final = "1234567890123456"
SOUND: Final = f"00-{TRACE}-{SPAN}-01"
PARENT: Final = ("traceparent", SOUND)
ALLOWED: Final = "".join(chr(each) for each in range(0x20, 0x7F) if chr(each) not in ",=")
KEY: Final = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
THIRTY: Final = [
    ("tracestate", ",".join(f"bar{number:02}={number:02}" for number in range(start, start + 10)))
    for start in (1, 11, 21)
]
THIRTY_TWO: Final = ",".join(f"bar{number:02}={number:02}" for number in range(1, 33))


class Case(NamedTuple):
    """Lines of a head, whether the trace goes on, and the state that travels with it."""

    lines: list[tuple[str, str]]
    goes_on: bool
    state: str = ""


def _alone(text: str, *, goes_on: bool) -> Case:
    return Case([("traceparent", text)], goes_on)


def _state(expected: str, *values: str) -> Case:
    return Case([PARENT, *(("tracestate", each) for each in values)], goes_on=True, state=expected)


CASES: Final = {
    "neither field": Case([], False),
    "no state": _alone(SOUND, goes_on=True),
    "not sampled": _alone(f"00-{TRACE}-{SPAN}-00", goes_on=True),
    "repeated": Case([("traceparent", f"00-{TRACE[:-1]}1-{SPAN}-01"), PARENT], False),
    "repeated, the same": Case([PARENT, PARENT], False),
    "repeated, of a later version": Case([("traceparent", f"cc-{TRACE}-{SPAN}-01")] * 2, False),
    "another name": Case([("trace-parent", SOUND), ("trace.parent", SOUND)], False),
    "capitals in the name": Case([("TrAcEpArEnT", SOUND)], True),
    "00 with a dot": _alone(f"{SOUND}.", goes_on=False),
    "00 with a hyphen": _alone(f"{SOUND}-", goes_on=False),
    "00 with more": _alone(f"{SOUND}-what-the-future-will-be-like", goes_on=False),
    "cc": _alone(f"cc-{TRACE}-{SPAN}-01", goes_on=True),
    "cc with more": _alone(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", goes_on=True),
    "cc with a dot": _alone(f"cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like", goes_on=False),
    "ff": _alone(f"ff-{TRACE}-{SPAN}-01", goes_on=False),
    "version .0": _alone(f".0-{TRACE}-{SPAN}-01", goes_on=False),
    "version 0.": _alone(f"0.-{TRACE}-{SPAN}-01", goes_on=False),
    "version of three": _alone(f"000-{TRACE}-{SPAN}-01", goes_on=False),
    "version of four": _alone(f"0000-{TRACE}-{SPAN}-01", goes_on=False),
    "version of one": _alone(f"0-{TRACE}-{SPAN}-01", goes_on=False),
    "trace of zeros": _alone(f"00-{'0' * 32}-{SPAN}-01", goes_on=False),
    "trace with a dot before": _alone(f"00-.{TRACE[1:]}-{SPAN}-01", goes_on=False),
    "trace with a dot behind": _alone(f"00-{TRACE[:-1]}.-{SPAN}-01", goes_on=False),
    "trace in capitals": _alone(f"00-{'A' * 32}-{SPAN}-01", goes_on=False),
    "trace too long": _alone(f"00-{TRACE}3-{SPAN}-01", goes_on=False),
    "trace too short": _alone(f"00-{TRACE[:-1]}-{SPAN}-01", goes_on=False),
    "span of zeros": _alone(f"00-{TRACE}-{'0' * 16}-01", goes_on=False),
    "span with a dot before": _alone(f"00-{TRACE}-.{SPAN[1:]}-01", goes_on=False),
    "span with a dot behind": _alone(f"00-{TRACE}-{SPAN[:-1]}.-01", goes_on=False),
    "span too long": _alone(f"00-{TRACE}-{SPAN}7-01", goes_on=False),
    "span too short": _alone(f"00-{TRACE}-{SPAN[:-1]}-01", goes_on=False),
    "flags .0": _alone(f"00-{TRACE}-{SPAN}-.0", goes_on=False),
    "flags 0.": _alone(f"00-{TRACE}-{SPAN}-0.", goes_on=False),
    "flags of three": _alone(f"00-{TRACE}-{SPAN}-001", goes_on=False),
    "flags of one": _alone(f"00-{TRACE}-{SPAN}-1", goes_on=False),
    "space before": _alone(f" {SOUND}", goes_on=True),
    "tab before": _alone(f"\t{SOUND}", goes_on=True),
    "space behind": _alone(f"{SOUND} ", goes_on=True),
    "tab behind": _alone(f"{SOUND}\t", goes_on=True),
    "white around": _alone(f"\t {SOUND} \t", goes_on=True),
    "state without a trace": Case([("tracestate", "foo=1,bar=2")], False),
    "state": _state("foo=1,bar=2", "foo=1,bar=2"),
    "state by another name": Case([PARENT, ("trace-state", "foo=1"), ("trace.state", "foo=1")], True),
    "state by a name in capitals": Case([PARENT, ("TRACESTATE", "foo=1")], True, "foo=1"),
    "empty state": _state("", ""),
    "empty state behind": _state("foo=1", "foo=1", ""),
    "empty state before": _state("foo=1", "", "foo=1"),
    "empty members": _state("foo=1,bar=2", "foo=1,,bar=2,"),
    "several states": _state("foo=1,bar=2,rojo=1,congo=2,baz=3", "foo=1,bar=2", "rojo=1,congo=2", "baz=3"),
    "a key twice": _state("", "foo=1,foo=1"),
    "a key twice, other values": _state("", "foo=1,foo=2"),
    "a key in two lines": _state("", "foo=1", "foo=1"),
    "a key in two lines, other values": _state("", "foo=1", "foo=2"),
    "every character": _state(f"{KEY}={ALLOWED}", f"{KEY}={ALLOWED}"),
    "every character of a tenant": _state(f"{KEY}@a-z0-9_-*/={ALLOWED}", f"{KEY}@a-z0-9_-*/={ALLOWED}"),
    "a tenant that begins with a digit": _state("1a@b=1", "1a@b=1"),
    "white between": _state("foo=1,bar=2,baz=3", "foo=1 \t , \t bar=2, \t baz=3"),
    "other white between": _state("foo=1,bar=2,baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3"),
    "white around the state": _state("foo=1", "\t foo=1 \t"),
    "space in a key": _state("", "foo =1"),
    "capitals in a key": _state("", "FOO=1"),
    "dot in a key": _state("", "foo.bar=1"),
    "a key that begins with a digit": _state("", "1foo=1"),
    "no system": _state("", "foo@=1,bar=2"),
    "no tenant": _state("", "@foo=1,bar=2"),
    "two signs": _state("", "foo@@bar=1,bar=2"),
    "two systems": _state("", "foo@bar@baz=1,bar=2"),
    "32 members": Case([PARENT, *THIRTY, ("tracestate", "bar31=31,bar32=32")], True, THIRTY_TWO),
    "33 members": Case([PARENT, *THIRTY, ("tracestate", "bar31=31,bar32=32,bar33=33")], True),
    "a key of 256": _state(f"foo=1,{'z' * 256}=1", "foo=1", "z" * 256 + "=1"),
    "a key of 257": _state("", "foo=1", "z" * 257 + "=1"),
    "a long tenant": _state(f"foo=1,{'t' * 241}@{'v' * 14}=1", "foo=1", "t" * 241 + "@" + "v" * 14 + "=1"),
    "a tenant too long": _state("", "foo=1", "t" * 242 + "@v=1"),
    "a system too long": _state("", "foo=1", "t@" + "v" * 15 + "=1"),
    "two signs of equality": _state("", "foo=bar=baz"),
    "no value": _state("", "foo=,bar=3"),
    "a value of 256": _state(f"foo={'1' * 256}", f"foo={'1' * 256}"),
    "a value of 257": _state("", f"foo={'1' * 257}"),
    "longer than 512": _state("b=2,c=3", "b=2", f"a={'1' * 250}", f"d={'1' * 256}", "c=3"),
    "longer than 512, of short ones": _state(
        ",".join(f"k{number}={'v' * 90}" for number in range(5)),
        ",".join(f"k{number}={'v' * 90}" for number in range(9)),
    ),
}


async def asked(port: int, path: str, *lines: tuple[str, str]) -> dict[str, Any]:
    """What a view answers to lines as they are: no client library would send some of them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"GET {path} HTTP/1.1", "host: localhost", "connection: close", *(f"{n}: {v}" for n, v in lines), "", ""]
    writer.write("\r\n".join(head).encode())
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found
