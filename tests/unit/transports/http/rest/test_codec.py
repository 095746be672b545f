"""The codec of REST: path, query and body become a call, replies and errors become responses."""

from __future__ import annotations

import gzip
import json

import pytest

from meristem.context import Identity
from meristem.contracts.call import ServedOperation
from meristem.errors import CallError, Code
from meristem.resilience.limits import Limits
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.rest.codec import RestCodec, RestRequest

NOSNIFF = (b"x-content-type-options", b"nosniff")


async def nothing(_call):
    return None


@pytest.fixture
def codec(wire):
    def make(name: str) -> RestCodec:
        found = wire.operations[name]
        return RestCodec(ServedOperation(found, nothing), found.http, "/api/docs", Limits(body_values=1000))

    return make


def asked(head=None, placeholders=(), query=b"", body=b"") -> RestRequest:
    return RestRequest.of(head or {}, "/api/x", placeholders, query, body)


def test_path_and_query_become_the_message(codec):
    call = codec("stays").read(asked(placeholders=["7"], query=b"tags=a&tags=b"), None, None)

    assert (call.request.hotel_id, call.request.tags) == (7, ["a", "b"])


def test_a_body_becomes_the_message(codec):
    body = b'{"hotel_id": 1, "city": "Rome", "arrival": "2030-01-02"}'

    assert codec("book").read(asked(body=body), None, None).request.hotel_id == 1


def test_a_body_may_be_packed_by_gzip_and_by_nothing_that_is_not_known(codec):
    packed = gzip.compress(b'{"hotel_id": 1, "city": "Rome", "arrival": "2030-01-02"}')

    assert codec("book").read(asked({b"content-encoding": b"gzip"}, body=packed), None, None).request.hotel_id == 1
    with pytest.raises(RefusedError) as raised:
        codec("book").read(asked({b"content-encoding": b"br"}, body=packed), None, None)
    assert raised.value.status == 415


def test_a_body_that_is_no_json_is_refused_by_its_media_type(codec):
    with pytest.raises(RefusedError) as raised:
        codec("book").read(asked({b"content-type": b"text/csv"}, body=b"1,Rome"), None, None)

    response = codec("book").failure(asked(), raised.value)
    assert (response.status, response.media) == (415, b"application/problem+json")
    assert json.loads(response.body)["instance"] == "/api/x"


def test_who_must_sign_in_is_told_so_before_the_message_is_looked_at(codec):
    with pytest.raises(CallError) as raised:
        codec("mine").read(asked(), None, None)
    assert raised.value.code is Code.UNAUTHENTICATED

    response = codec("mine").failure(asked(), raised.value)
    assert (response.status, response.fields) == (401, [NOSNIFF, (b"www-authenticate", b"Bearer")])
    assert codec("mine").read(asked(), None, Identity("anna")).context.user == Identity("anna")


@pytest.mark.parametrize(
    ("head", "bearer"),
    [({}, None), ({b"authorization": b"Bearer  abc "}, "abc"), ({b"authorization": b"Basic abc"}, None)],
)
def test_a_bearer_token_is_found_in_its_field(head, bearer):
    assert asked(head).bearer == bearer


def test_a_token_of_a_service_means_nothing(codec):
    assert asked({b"meristem-token": b"search"}).token is None


def test_a_reply_has_the_status_and_the_media_type_of_its_operation(codec, wire):
    booked = codec("book").reply(asked(), wire.Booking(booking_id="b1", guest="Ada"))
    receipt = codec("receipt").reply(asked(), b"%PDF")
    cancelled = codec("cancel").reply(asked(), None)

    assert (booked.status, booked.media) == (201, b"application/json")
    assert (receipt.media, receipt.fields) == (b"application/pdf", (NOSNIFF, (b"content-disposition", b"inline")))
    assert (cancelled.status, cancelled.body) == (204, b"")
    assert b"content-length" not in cancelled.head(close=False)


def test_a_fault_is_a_problem_with_its_fields(codec, wire):
    response = codec("book").failure(asked(), wire.CardDeclined(reason="no money"))

    problem = json.loads(response.body)
    assert (response.status, problem["reason"]) == (402, "no money")
    assert problem["type"] == "/api/docs#fault-CardDeclined"
