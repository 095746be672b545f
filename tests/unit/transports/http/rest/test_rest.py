"""REST from the contracts: binding, results, problem details, and no bad input that answers 500."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meristem.errors import WiringError
from meristem.transports.http.rest.interface import RestInterface


def client_of(server) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=server.addresses[0].removeprefix("unix:"))
    return httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=30)


@pytest.fixture
async def http(wire):
    async with client_of(await wire.server()) as client:
        yield client


STAY = {"hotel_id": 7, "city": "Rome", "arrival": "2030-01-02"}


async def test_path_and_query_become_typed_fields(http):
    answer = await http.get("/api/hotels/7/stays", params={"tags": ["a", "b c"], "board": "breakfast"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert [(each["hotel_id"], each["city"]) for each in answer.json()] == [(7, "a"), (7, "b c")]


async def test_a_body_becomes_the_message_and_the_declared_status_is_sent(http):
    answer = await http.post("/api/bookings", json=STAY, headers={"idempotency-key": "k1"})

    assert (answer.status_code, answer.json()) == (201, {"booking_id": "b7", "guest": "Rome"})


async def test_the_idempotency_key_and_the_user_reach_the_call(wire, http):
    await http.post("/api/bookings", json=STAY, headers={"idempotency-key": "k1", "authorization": "Bearer user-anna"})

    assert wire.handlers.contexts[-1].key == "k1"
    assert wire.handlers.contexts[-1].user.subject == "anna"


async def test_nothing_is_204_and_media_other_than_json_is_sent_raw(http):
    nothing = await http.delete("/api/bookings/b%2F7")
    receipt = await http.get("/api/bookings/b%2F7/receipt.pdf")

    assert (nothing.status_code, nothing.content) == (204, b"")
    assert "content-length" not in nothing.headers
    assert (receipt.headers["content-type"], receipt.content) == ("application/pdf", b"%PDF-1.7 b/7")


async def test_a_fault_is_a_problem_with_its_fields_and_its_status(http):
    full = await http.post("/api/bookings", json=STAY | {"city": "Full"})
    broke = await http.post("/api/bookings", json=STAY | {"city": "Broke"})

    assert full.headers["content-type"] == "application/problem+json"
    assert full.json() == {
        "type": "/api/docs#fault-RoomTaken",
        "title": "Somebody else has taken the room.",
        "status": 409,
        "detail": "Somebody else has taken the room.",
        "instance": "/api/bookings",
        "code": "failed_precondition",
        "fault": "RoomTaken",
        "hotel_id": 7,
        "since": "2030-01-02",
    }
    assert (broke.status_code, broke.json()["reason"]) == (402, "no money")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hotel_id": "seven"}, "hotel_id"),
        ({"hotel_id": "7"}, "hotel_id"),
        ({"nights": None}, "nights"),
        ({"board": "BREAKFAST"}, "board"),
        ({"nights": 0}, "nights"),
        ({"arrival": "soon"}, "arrival"),
        ({"city": None}, "city"),
        ({"board": "caviar"}, "board"),
    ],
)
async def test_a_field_that_does_not_fit_is_422_and_named(http, change, field):
    answer = await http.post("/api/bookings", json=STAY | change)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_every_wrong_parameter_of_path_and_query_is_named(http):
    answer = await http.get("/api/hotels/x/stays?board=caviar&board=none")
    both = await http.get("/api/hotels/x/stays?board=caviar")

    assert [each["field"] for each in answer.json()["errors"]] == ["board"]
    assert [each["field"] for each in both.json()["errors"]] == ["hotel_id", "board"]
    assert both.status_code == 422


@pytest.mark.parametrize("path", ["/api/bookings/%ff/receipt.pdf", "/api/hotels/7/stays?tags=%ff"])
async def test_escapes_that_are_no_utf_8_are_400(http, path):
    answer = await http.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_a_missing_parameter_is_named(http):
    answer = await http.get("/api/count")

    assert answer.json()["errors"] == [{"field": "until", "reason": "is required"}]


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'"x"', b"1" * 5000, b"[" * 50_000])
async def test_a_body_that_is_no_such_object_is_400(http, body):
    answer = await http.post("/api/bookings", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400


async def test_refusals_of_http_itself(http, wire):
    wrong_verb = await http.put("/api/bookings", json=STAY)
    unknown = await http.get("/api/nothing")
    outside = await http.get("/elsewhere")
    form = await http.post("/api/bookings", data={"a": "b"})

    assert (wrong_verb.status_code, wrong_verb.headers["allow"]) == (405, "OPTIONS, POST")
    assert [unknown.status_code, outside.status_code, form.status_code] == [404, 404, 415]
    for answer in (wrong_verb, unknown, outside, form):
        assert answer.json()["status"] == answer.status_code


async def test_head_and_options(http):
    head = await http.head("/api/hotels/7/stays")
    options = await http.options("/api/hotels/7/stays")

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 10
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer stolen"}, {"authorization": "Basic eDp5"}])
async def test_an_operation_for_signed_in_users_answers_401(http, headers):
    answer = await http.get("/api/mine", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_signed_in_user_is_served(http):
    assert (await http.get("/api/mine", headers={"authorization": "bearer user-anna"})).json() == []


async def test_errors_of_operation(http, caplog):
    busy = await http.post("/api/bookings", json=STAY | {"city": "Busy"})
    odd = await http.post("/api/bookings", json=STAY | {"city": "Odd"})
    bug = await http.post("/api/bookings", json=STAY | {"city": "Bug"})
    missing = await http.get("/api/hotels/404/stays")

    assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
    assert odd.status_code == 422
    assert odd.json()["errors"][1] == {"field": "guest.name", "reason": "is missing"}
    assert bug.status_code == 500
    assert "secret" not in bug.text
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert missing.status_code == 404


async def test_a_body_above_the_limit_is_413(wire):
    server = await wire.server(body_bytes=1024)
    async with client_of(server) as client:
        answer = await client.post("/api/bookings", json=STAY | {"city": "x" * 2000})

    assert answer.status_code == 413


async def test_a_stream_is_json_lines_or_events(http):
    lines = await http.get("/api/count?until=3")
    events = await http.get("/api/count?until=2", headers={"accept": "text/event-stream"})
    broken = await http.get("/api/count?until=-1")

    assert (lines.headers["content-type"], lines.text) == ("application/jsonl", "0\n1\n2\n")
    assert (events.headers["content-type"], events.text) == ("text/event-stream", "data: 0\n\ndata: 1\n\n")
    assert json.loads(broken.text.splitlines()[-1])["problem"]["fault"] == "RoomTaken"


async def test_a_stream_of_which_the_head_alone_is_asked_for_ends_with_that(wire, http):
    answer = await wire.within(http.head("/api/count?until=1000000000"))
    after = await wire.within(http.get("/api/count?until=1"))

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/jsonl", b"")
    assert wire.handlers.cancelled.is_set()
    assert after.text == "0\n"


async def test_who_leaves_a_stream_cancels_it(wire, http):
    async with http.stream("GET", "/api/count?until=1000000000") as answer:
        assert await anext(answer.aiter_lines()) == "0"

    await wire.within(wire.handlers.cancelled.wait())


def test_two_operations_on_one_route_are_refused(wire):
    endpoints = [*wire.handlers.endpoints().values()]

    with pytest.raises(WiringError, match="share this route"):
        RestInterface([*endpoints, *endpoints])


texts = st.text(max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.sampled_from(list(STAY)), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=st.lists(st.sampled_from(["hotels", "7", "stays", "bookings", "count", "%ff", "%00", "ü", ""]), max_size=5),
    query=st.dictionaries(st.sampled_from(["until", "tags", "board", "hotelId"]), texts, max_size=3),
    body=st.one_of(st.binary(max_size=60), json_values.map(lambda value: json.dumps(value).encode())),
)
async def test_no_request_answers_500(http, method, path, query, body):
    answer = await http.request(
        method, "/api/" + "/".join(path), params=query, content=body, headers={"content-type": "application/json"}
    )

    assert answer.status_code < 500, answer.text


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.dictionaries(st.sampled_from([*STAY, "nights", "board", "hotelId"]), json_values))
async def test_no_body_answers_500(http, value):
    answer = await http.post(
        "/api/bookings", content=json.dumps(STAY | value).encode(), headers={"content-type": "application/json"}
    )

    assert answer.status_code in (201, 400, 402, 409, 422, 429) or value.get("city") == "Bug"


async def test_the_description_of_the_interface_and_its_page_are_served(http):
    document = (await http.get("/api/openapi.json")).json()
    page = await http.get("/api/docs")

    assert document["openapi"].startswith("3.1")
    assert page.headers["content-type"].startswith("text/html")
    assert (await http.post("/api/docs")).status_code == 405
