"""CloudEvents 1.0: what we write, what we read, what we refuse; and the context that travels inside."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from meristem.context import EMPTY, Context, Identity, Trace
from meristem.contracts.message import Event
from meristem.errors import Undeliverable
from meristem.events.cloudevents import (
    WireEvent,
    canonical,
    data_of,
    from_headers,
    from_message,
    read_json,
    to_message,
    write_json,
)
from meristem.events.delivery import Unreadable
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
    user = Identity("u-1", "Ada", ("guest",), "acme")
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
        "authclaims": '{"name":"Ada","roles":["guest"],"tenant":"acme"}',
        "data": {"order": "o 1", "amount": 3},
    }
    assert read_json(body) == envelope
    assert envelope.context("post").user == user


def test_an_event_of_a_release_without_tenants_is_read():
    event = enclose(Closed(), "//shop/payments", NOW, Context(user=Identity("u-1", "Ada", ("guest",))))
    assert event.authclaims == '{"name":"Ada","roles":["guest"]}'
    assert event.context("post").user == Identity("u-1", "Ada", ("guest",), "")


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
        (b'{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{},"data_base64":"e30="}', "send one of them"),
        (b'{"specversion":"1.0","id":"","source":"/x","type":"t"}', "not empty"),
    ],
)
def test_what_is_no_readable_event_is_refused_with_the_reason(body, why):
    with pytest.raises(Undeliverable, match=why):
        read_json(body)


NAMED = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t"}


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json; charset=utf-8", b'{"n": 1.50}'),
        ("application/vnd.shop+json; v=2", b"[1, 2]"),
        ("application/json; charset=iso-8859-1", '{"n": "é"}'.encode("latin-1")),
        ("application/json", b"{"),
        ("text/plain; charset=utf-8", "grüß".encode()),
        ("application/octet-stream", b"\x00\xff"),
        ("text/plain", b'"in quotes"'),
        ("image/png", b""),
        ("", b""),
        ("", b"\xff"),
    ],
)
def test_data_and_its_type_are_kept_byte_for_byte_in_both_modes(content_type, data):
    envelope = from_message(WireEvent(content_type, NAMED, data))
    for _ in range(2):
        assert (envelope.datacontenttype, data_of(envelope)) == (content_type, data)
        envelope = from_message(to_message(envelope, binary=False))
        assert (envelope.datacontenttype, data_of(envelope)) == (content_type, data)
        envelope = from_message(to_message(envelope, binary=True))


def test_text_in_the_json_format_is_the_text():
    body = (
        b'{"specversion":"1.0","id":"1","source":"/x","type":"t","datacontenttype":"text/xml","data":"<a>\\u00e9</a>"}'
    )
    assert data_of(read_json(body)) == "<a>é</a>".encode()


@pytest.mark.parametrize(
    "field", [b'"ext":"\xff"', b'"data":{"unknown":"\xff"}', b'"ext":' + b"[" * 50_000, b'"data":' + b"[" * 50_000]
)
def test_json_that_is_no_utf8_or_too_deep_is_no_event_wherever_that_stands(field):
    with pytest.raises(Undeliverable, match="not a CloudEvent"):
        read_json(b'{"specversion":"1.0","id":"1","source":"/x","type":"t",' + field + b"}")


def test_what_names_a_strangers_event_is_as_every_database_takes_it():
    for name, value, why in [
        ("subject", "a\x00", "control character"),
        ("traceparent", "a\n", "control character"),
        ("source", "x" * 801, "longer than 800 bytes"),
        ("time", "yesterday", "not a CloudEvent"),
    ]:
        with pytest.raises(Undeliverable, match=why):
            from_message(WireEvent("application/json", NAMED | {name: value}, b"{}"))
    with pytest.raises(Undeliverable, match=r"written as application/cloudevents\+avro"):
        from_message(WireEvent("application/cloudevents+avro", {}, b""))


def test_headers_are_read_as_the_bindings_of_now_and_before_wrote_them():
    found = {"CE-Subject": "Euro%20%e2%82%AC", "ce-source": r'"a \"b\" %41"', "Other": "x"}
    assert from_headers(found, "ce-") == {"subject": "Euro €", "source": 'a "b" A'}
    with pytest.raises(Undeliverable, match="no UTF-8"):
        from_headers({"ce-id": "%C0%A0"}, "ce-")


def test_attributes_that_a_protocol_has_types_for_are_read_as_their_text():
    assert canonical("time", 1903955400000) == canonical("time", NOW.replace(month=5, day=2)) == "2030-05-02T12:30:00Z"
    assert canonical("time", datetime(2030, 5, 1, 12, 30)) == "2030-05-01T12:30:00Z"  # noqa: DTZ001 - as clients give it
    assert (canonical("a", True), canonical("a", 7), canonical("a", b"\xff")) == ("true", "7", "/w==")
    with pytest.raises(Undeliverable, match="its time is"):
        canonical("time", 10**30)


def test_a_letter_of_what_is_no_event_keeps_all_of_it():
    assert Unreadable.at("there", "t", b"text", "why").body == "text"
    assert Unreadable.at("th\0ere", "t", b"a\0", "why") == Unreadable("th�ere", "t", "data:;base64,YQA=", "why")


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
