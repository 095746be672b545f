"""CloudEvents 1.0: what we write, what we read, what we refuse; and the context that travels inside."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from meristem.context import EMPTY, Context, Identity, Trace
from meristem.contracts.message import Event
from meristem.errors import Undeliverable
from meristem.events.cloudevents import read_json, write_json
from meristem.events.envelope import enclose, event_id
from meristem.keys import KeyChain

NOW = datetime(2030, 5, 1, 12, 30, tzinfo=UTC)


class Paid(Event, package="shop.v1", key="order"):
    order: str
    amount: int


class Closed(Event, package="shop.v1"):
    pass


def test_an_event_is_written_as_the_specification_says():
    trace = Trace("1" * 32, "2" * 16, sampled=True, state="vendor=1")
    user = Identity("u-1", "Ada", ("guest",))
    context = Context(trace=trace, user=user, key="order-7", keys=KeyChain("order-7", "u-1"))
    envelope = enclose(Paid(order="o 1", amount=3), "//shop/payments", NOW, context)
    body = write_json(envelope)
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": envelope.id,
        "source": "//shop/payments",
        "type": "shop.v1.Paid",
        "subject": "o 1",
        "time": "2030-05-01T12:30:00Z",
        "datacontenttype": "application/json",
        "traceparent": trace.header(),
        "tracestate": "vendor=1",
        "causationid": "order-7",
        "authtype": "app_user",
        "authid": "u-1",
        "authclaims": '{"name":"Ada","roles":["guest"]}',
        "data": {"order": "o 1", "amount": 3},
    }
    assert read_json(body) == envelope


def test_what_is_empty_is_left_out():
    body = json.loads(write_json(enclose(Closed(), "//shop/payments", NOW, EMPTY)))
    assert set(body) == {"specversion", "id", "source", "type", "time", "datacontenttype", "data"}


def test_data_in_base64_is_read():
    body = b'{"specversion":"1.0","id":"1","source":"/x","type":"t","data_base64":"eyJhIjoxfQ=="}'
    assert bytes(read_json(body).data) == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not a CloudEvent 1.0 in JSON"),
        (b"\xff", "not a CloudEvent 1.0 in JSON"),
        (b'{"specversion":"0.3"}', "0.3"),
        (b'{"specversion":"1.0","id":"1","source":"/x","type":"t","datacontenttype":"text/xml"}', "only JSON"),
        (b'{"specversion":"1.0","id":"","source":"/x","type":"t"}', "not empty"),
    ],
)
def test_what_is_no_readable_event_is_refused_with_the_reason(body, why):
    with pytest.raises(Undeliverable, match=why):
        read_json(body)


def test_the_handler_continues_the_trace_and_derives_its_own_keys():
    context = Context(trace=Trace("1" * 32, "2" * 16, sampled=True), user=Identity("u-1", roles=("guest",)))
    envelope = enclose(Paid(order="1", amount=3), "//shop/payments", NOW, context)
    found = read_json(write_json(envelope)).context("mail")
    assert found.trace is not None
    assert (found.trace.trace_id, found.trace.sampled) == ("1" * 32, True)
    assert found.trace.span_id != "2" * 16
    assert found.user == Identity("u-1", roles=("guest",))
    assert (found.caller, found.key) == ("payments", f"{envelope.id}:mail")
    again = envelope.context("mail")
    assert found.keys is not None
    assert again.keys is not None
    assert [found.keys.derive("A.b", "u-1") for _ in range(2)] == [again.keys.derive("A.b", "u-1") for _ in range(2)]


def test_ids_are_unique_uuids_of_version_7_that_sort_by_time():
    ids = [event_id(NOW) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(each[14], each[19] in "89ab", len(each)) for each in ids} == {("7", True, 36)}
    assert max(ids) < event_id(datetime(2030, 5, 1, 12, 31, tzinfo=UTC))


def test_an_envelope_keeps_the_text_of_its_data():
    envelope = read_json(b'{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{"n": 1.50}}')
    assert bytes(envelope.data) == b'{"n": 1.50}'
    assert isinstance(envelope.data, msgspec.Raw)
