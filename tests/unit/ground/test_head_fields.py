"""How fields of a head are read that are sent more than once."""

from meristem.head_fields import BAGGAGE, LONGEST_LIST, TRACE_STATE, add_field
from meristem.hosting.asgi.incoming import read_fields


def test_a_repeated_field_is_one_list():
    fields: dict[bytes, bytes] = {}
    for value in (b"a=1", b"b=2"):
        add_field(fields, TRACE_STATE, value)
    assert fields == {TRACE_STATE: b"a=1, b=2"}


def test_a_list_of_thousands_of_lines_ends_where_nothing_reads_on():
    """Whichever way a request comes in: joined without end, lines cost the square of their number."""
    found = read_fields([(BAGGAGE, b"a=%d" % each) for each in range(10_000)])
    assert LONGEST_LIST <= len(found[BAGGAGE]) < LONGEST_LIST + 100
