"""CloudEvents over HTTP, as curl and CloudEvents' own SDK send them to a system that runs as its users start it."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.suites.nats_prefix import forget, prefix_of_its_own
from tests.suites.postgresql import drop_services, make_services, require, template
from tests.suites.served import copied, served, start

PATIENCE = 30.0  # seconds for what takes milliseconds on an idle machine
JSON = JSONFormat()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DIVIDED = """
[processes]
edge = []
counter = ["counter"]
parcels = ["parcels"]
rest = ["*"]
"""
ON_NATS = '\n[resources]\nbus = "nats://127.0.0.1:4222?prefix={prefix}"\n'
DHL, UPS, ADA, INSURER = ({"authorization": f"Bearer of-{name}"} for name in ("dhl", "ups", "ada", "insurer"))
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class Shop:
    """A running one, and what its services have been told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.intake = f"{address}/cloudevents"
        self.client = httpx.Client(base_url=address, timeout=60)

    def post(self, body: Any, user: dict[str, str] = DHL, kind: str = STRUCTURED, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/cloudevents", content=content, headers=user | {"content-type": kind} | headers)

    def told(self, parcel: str, count: int = 1) -> list[dict[str, Any]]:
        """What is known of a parcel, when it is so much."""
        until = time.monotonic() + PATIENCE
        while True:
            known = [each for each in self.client.get("/api/parcels").json() if each["parcel"] == parcel]
            if len(known) >= count or time.monotonic() > until:
                assert len(known) == count
                return known
            time.sleep(0.02)

    def mailed(self, parcel: str, count: int = 1) -> None:
        until = time.monotonic() + PATIENCE
        while (found := self.client.get("/api/mail").json().count(parcel)) < count:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert found == count


@pytest.fixture(
    scope="module", params=["together", "divided", "together on NATS", "divided on NATS", "divided on PostgreSQL"]
)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = copied(Path(__file__).parent / "parcels", tmp_path_factory.mktemp("parcels") / "shop")
    prefix = prefix_of_its_own()
    placement = DIVIDED if request.param.startswith("divided") else ""
    if request.param.endswith("NATS"):
        placement += ON_NATS.format(prefix=prefix)
    with databases(request.param, prefix) as resources, served(folder, "system.py", placement + resources) as run:
        shop = Shop(run.address)
        yield shop
        shop.client.close()
    if request.param.endswith("NATS"):
        asyncio.run(forget(prefix))


@contextmanager
def databases(where: str, prefix: str) -> Iterator[str]:
    """What a placement says of them."""
    services = ["counter", "parcels", "mail"]
    if not where.endswith("PostgreSQL"):
        yield ""
        return
    require()
    make_services(prefix, services)
    try:
        yield f'\n[resources]\ndatabase = "{template(prefix)}"\n'
    finally:
        drop_services(prefix, services)


def event(parcel: str, id: str = "1", source: str = "/dhl/scanners", **more: Any) -> dict[str, Any]:  # noqa: A002
    said = {"specversion": "1.0", "id": id, "source": source, "type": "carrier.v1.ParcelDelivered"}
    return said | {"data": {"parcel": parcel, "number": 7}} | more


def test_both_subscribers_hear_what_the_sdk_sends_in_either_mode(shop: Shop) -> None:
    said = {"id": "1", "source": "/sdk", "type": "carrier.v1.ParcelDelivered", "specversion": "1.0"}
    for parcel, write in (("sdk-binary", http.to_binary), ("sdk-structured", http.to_structured)):
        attributes = said | {"id": parcel, "subject": "café 7%", "datacontenttype": 'application/json; charset="utf-8"'}
        message = write(CloudEvent(attributes=attributes | {"traceparent": TRACE}, data={"parcel": parcel}), JSON)
        answer = shop.client.post("/cloudevents", content=message.body, headers=dict(message.headers) | DHL)
        assert (answer.status_code, answer.content) == (202, b"")
        [told] = shop.told(parcel)
        assert (told["user"], told["name"], told["caller"], told["trace"]) == ("dhl", "DHL", "", TRACE[3:35])
        shop.mailed(parcel)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_both_subscribers_hear_what_curl_sends(shop: Shop) -> None:
    binary = ["ce-specversion: 1.0", "ce-id: c1", "ce-source: /curl", "ce-type: carrier.v1.ParcelDelivered"]
    headers = [*binary, "content-type: application/json", "authorization: Bearer of-dhl", f"traceparent: {TRACE}"]
    said = [part for each in headers for part in ("-H", each)]
    command = ["curl", "-sS", "-w", "%{http_code}", *said, "-d", '{"parcel": "curled"}', shop.intake]
    assert subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout == b"202"
    [told] = shop.told("curled")
    assert (told["user"], told["number"], told["trace"]) == ("dhl", 0, TRACE[3:35])
    shop.mailed("curled")


def test_a_repeated_event_is_answered_as_the_first_and_has_its_effect_once(shop: Shop) -> None:
    for _ in range(5):
        assert shop.post(event("again", "a1")).status_code == 202
    shop.told("again")
    assert shop.post(event("again", "a1", subject="another key")).status_code == 202
    assert shop.post(event("after", "a2")).status_code == 202
    shop.told("after")
    shop.mailed("after")
    shop.told("again")
    shop.mailed("again")
    assert shop.client.get("/api/counted").json().count("again") == 1


def test_one_event_that_is_sent_many_times_at_once_is_handled_once(shop: Shop) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda at: shop.post(event("at once", f"o{at % 3}")), range(60)))
    assert {each.status_code for each in answers} == {202}
    shop.told("at once", 3)
    assert shop.post(event("afterwards", "o9")).status_code == 202
    shop.told("afterwards")
    shop.told("at once", 3)
    shop.mailed("at once", 3)


def test_an_event_is_named_by_its_sender_its_source_and_its_id(shop: Shop) -> None:
    ours = "01890a5d-ac96-774b-bcce-b302099a8057"  # as ids of this framework are
    for id_ in ("n1", ours):
        for user, source in ((DHL, "/a"), (DHL, "/b"), (UPS, "/a"), (DHL, "/a")):
            assert shop.post(event(f"named-{id_}", id_, source), user).status_code == 202
        told = shop.told(f"named-{id_}", 3)
        assert sorted(each["user"] for each in told) == ["dhl", "dhl", "ups"]
        shop.mailed(f"named-{id_}", 3)
        assert shop.client.get("/api/counted").json().count(f"named-{id_}") == 3  # by keys of their own


def test_a_batch_is_taken_whole_or_not_at_all(shop: Shop) -> None:
    events = [event("batched", f"b{number}", data={"parcel": "batched", "number": number}) for number in range(300)]
    assert shop.post(events, kind=BATCH).status_code == 202
    assert [each["number"] for each in shop.told("batched", 300)] == list(range(300))
    assert shop.post([], kind=BATCH).status_code == 202
    wrong = [event("torn", "t1"), event("torn", "t2", data={"parcel": 5}), {"id": "t3"}]
    answer = shop.post(wrong, kind=BATCH)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["[1].data.parcel", "[2]"]
    foreign = shop.post([event("torn", "t4"), event("torn", "t5", type="shop.v1.ShopClosed")], kind=BATCH)
    assert (foreign.status_code, ": [1]: events of the type" in foreign.json()["detail"]) == (403, True)
    many = shop.post([event("many", str(number)) for number in range(1001)], kind=BATCH)
    assert (many.status_code, "1000 events at most, and this one 1001" in many.json()["detail"]) == (413, True)
    shop.told("torn", 0)
    shop.told("many", 0)


def test_who_may_not_send_an_event_is_told_so_and_not_which_there_are(shop: Shop) -> None:
    nobody = shop.post(event("refused"), {})
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert shop.post(event("refused"), {"authorization": "Bearer forged"}).status_code == 401
    assert shop.post(b"no CloudEvent", ADA).json()["detail"] == "no events are accepted from you"
    refusals = [
        shop.post(event("refused", type=each), user)
        for each, user in (("shop.v1.ShopClosed", DHL), ("no.such.Type", DHL), ("carrier.v1.ParcelDelivered", INSURER))
    ]
    assert [each.status_code for each in refusals] == [403] * 3
    assert {each.json()["detail"].replace(each.request.content.decode(), "") for each in refusals} == {
        f"events of the type {each} are not accepted from you"
        for each in ("shop.v1.ShopClosed", "no.such.Type", "carrier.v1.ParcelDelivered")
    }
    shop.told("refused", 0)
    lost = event("ring", "r1", type="carrier.v1.ParcelLost")
    assert [shop.post(lost, user).status_code for user in (INSURER, DHL, ADA)] == [202, 202, 403]
    shop.mailed("ring is lost", 2)


def test_what_a_sender_claims_to_be_is_not_believed(shop: Shop) -> None:
    claims = {"authid": "root", "authtype": "system", "authclaims": '{"name": "Root", "roles": ["admin"]}'}
    claims |= {"baggage": "tenant=evil", "causationid": "x", "sender": "u1"}
    assert shop.post(event("claimed", "k1", "//else/counter", **claims)).status_code == 202
    headers = {f"ce-{name}": value for name, value in claims.items()} | {"baggage": "tenant=evil"}
    headers |= {"ce-specversion": "1.0", "ce-id": "k2", "ce-source": "/x", "ce-type": "carrier.v1.ParcelDelivered"}
    answer = shop.post({"parcel": "claimed"}, kind="application/json", **{"meristem-token": "forged"}, **headers)
    assert answer.status_code == 202
    for told in shop.told("claimed", 2):
        assert (told["user"], told["name"], told["caller"], told["tenant"]) == ("dhl", "DHL", "", "")
    for source in ("//shop/parcels", "//SHOP/parcels", "//sh%6fp"):
        assert shop.post(event("claimed", "k3", source)).json()["errors"][0]["field"] == "source"


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status", "said"),
    [
        (b"", STRUCTURED, {}, 400, "not a CloudEvent"),
        (b"{", STRUCTURED, {}, 400, "not a CloudEvent"),
        (b'{"a": ' * 90_000, STRUCTURED, {}, 400, "values"),
        (b"[" * 20_000, STRUCTURED, {}, 400, "not a CloudEvent"),
        (b"[" * 20_000, BATCH, {}, 400, "list of CloudEvents"),
        (b"{}", BATCH, {}, 400, "list of CloudEvents"),
        (b"[" + b"1," * 99_999 + b"1]", BATCH, {}, 400, "values"),
        (b"{}", "application/json", {}, 400, "no CloudEvent"),
        (b"<a/>", "text/xml", {}, 415, "cloudevents+json"),
        (b"{}", "application/cloudevents+avro", {}, 415, "cloudevents+json"),
        (b"{}", "application/cloudevents+json; charset=latin1", {}, 415, "cloudevents+json"),
        (b"\xff\xfe", STRUCTURED, {}, 400, "not a CloudEvent"),
        (json.dumps(event("", data={"x": "#"})).encode().replace(b"#", b"\xff"), STRUCTURED, {}, 400, "utf-8"),
        (event(""), STRUCTURED, {"content-encoding": "br"}, 415, "gzip"),
        (gzip.compress(b"0" * (40 << 20)), STRUCTURED, {"content-encoding": "gzip"}, 400, "unpacks"),
        (event("", specversion="0.3"), STRUCTURED, {}, 400, "0.3"),
        (event("", id=""), STRUCTURED, {}, 400, "empty"),
        (event("", "x" * 801), STRUCTURED, {}, 400, "longer than 800"),
        (event("", "a\nb"), STRUCTURED, {}, 400, "control character"),
        (event("", dataschema="x" * 2049), STRUCTURED, {}, 422, "dataschema"),
        (event("", datacontenttype="application/json;a=" + "x" * 2049), STRUCTURED, {}, 422, "datacontenttype"),
        (event("", source="a b"), STRUCTURED, {}, 422, "space"),
        (event("", time="yesterday"), STRUCTURED, {}, 400, "time"),
        (event("", data={"parcel": "p", "number": -1}), STRUCTURED, {}, 422, "data.number"),
        (event("", data={"number": 1}), STRUCTURED, {}, 422, "data.parcel"),
        (event("", data={"parcel": "p" * 801}), STRUCTURED, {}, 422, "data.parcel"),
        (event("", data={"parcel": "a\0b"}), STRUCTURED, {}, 422, "data.parcel: has a control character"),
        (event("", data=None), STRUCTURED, {}, 422, "data"),
        (event("", datacontenttype="text/plain", data="text"), STRUCTURED, {}, 415, "text/plain"),
        (b"x", "image/png", {"ce-id": "1"}, 415, "no CloudEvent"),
        (b"x", "image/png", {"ce-id": "%C3%28"}, 400, "UTF-8"),
        (b"{}", "application/json", {"ce-id": "a%00b"}, 400, "control character"),
        (b"{}", "application/json", {"ce-datacontenttype": "text/plain"}, 422, "content-type says it"),
    ],
)  # fmt: skip
def test_what_is_no_event_that_is_known_is_refused_with_what_is_wrong(
    shop: Shop, body: Any, kind: str, headers: dict[str, str], status: int, said: str
) -> None:
    if headers and not any(each.startswith("content") for each in headers) and "text/plain" not in headers.values():
        headers = {"ce-source": "/x", "ce-type": "carrier.v1.ParcelDelivered"} | headers
        if kind != "image/png" or "%C3" in headers["ce-id"]:
            headers["ce-specversion"] = "1.0"
    elif "ce-datacontenttype" in headers:
        headers |= {"ce-specversion": "1.0"}
    answer = shop.post(body, kind=kind, **headers)
    problem = answer.json()
    assert (answer.status_code, said in problem["detail"]) == (status, True), problem


def test_other_methods_are_told_what_is_asked_with_post(shop: Shop) -> None:
    assert shop.client.get("/cloudevents").status_code == 405
    assert shop.client.options("/cloudevents").headers["allow"] == "OPTIONS, POST"
    assert shop.post(event("twice"), **{"ce-id": "1"}).status_code == 202  # in structured mode headers say nothing
    raw = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-id", "2"), ("authorization", "Bearer of-dhl")]
    answer = shop.client.post("/cloudevents", headers=raw, content=b"{}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "ce-id")


def test_a_sender_that_may_send_is_told_so_by_the_handshake_of_webhooks(shop: Shop) -> None:
    asked = {"WebHook-Request-Origin": "events.dhl.example", "WebHook-Request-Rate": "120"}
    granted = shop.client.options("/cloudevents", headers=asked | DHL)
    assert granted.status_code == 204
    assert granted.headers["webhook-allowed-origin"] == "events.dhl.example"
    assert granted.headers["webhook-allowed-rate"] == "*"
    for user, status in (({}, 401), (ADA, 403)):
        refused = shop.client.options("/cloudevents", headers=asked | user)
        assert (refused.status_code, "webhook-allowed-origin" in refused.headers) == (status, False)


@pytest.mark.parametrize("placement", [None, DIVIDED], ids=["together", "divided"])
def test_what_was_answered_with_202_outlives_a_power_cut(tmp_path: Path, placement: str | None) -> None:
    folder = copied(Path(__file__).parent / "parcels", tmp_path / "shop")
    run = start(folder, "system.py", placement)
    run.wait()
    shop = Shop(run.address)
    taken = 0
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda at: shop.post(event("kept", str(at))), range(100)):
            taken += answer.status_code == 202
    run.kill()
    shop.client.close()
    assert taken == 100
    with served(folder, "system.py", placement) as again:
        shop = Shop(again.address)
        shop.told("kept", 100)
        shop.mailed("kept", 100)
        shop.client.close()
