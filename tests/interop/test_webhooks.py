"""Events that leave for a plain HTTP server outside, from a system that runs as its users start it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

from tests.suites.hook import Answer, Hook, Posted
from tests.suites.nats_prefix import forget, prefix_of_its_own
from tests.suites.served import Served, copied, start

TOKEN, SECRET = "of-shop-at-crm", "whsec_" + "c2VjcmV0" * 6
WHERE = {
    "together": "",
    "divided": '[processes]\nedge = []\ncounter = ["counter"]\nrest = ["*"]\n',
    "together on NATS": '[resources]\nbus = "nats://127.0.0.1:4222?prefix={prefix}"\n',
    "divided on NATS": (
        '[processes]\nedge = []\ncounter = ["counter"]\nrest = ["*"]\n'
        '[resources]\nbus = "nats://127.0.0.1:4222?prefix={prefix}"\n'
    ),
}
PLACEMENT = """
[events.subscribers.crm]
url = "{crm}"
types = ["shop.counter.v1.*"]
mode = "structured"
attempts = 2
timeout = 2

[events.subscribers.audit]
url = "{audit}"
types = ["shop.counter.v1.Ordered", "carrier.v1.ParcelDelivered"]
"""


class Shop:
    """A running one with two subscribers outside."""

    def __init__(self, folder: Path, served: Served, crm: Hook, audit: Hook) -> None:
        self.folder, self.served, self.crm, self.audit = folder, served, crm, audit
        self.client = httpx.Client(base_url=served.address, timeout=60)

    def order(self, customer: str, *numbers: int) -> None:
        answer = self.client.post("/api/orders", json={"customer": customer, "numbers": numbers})
        assert answer.status_code == 204, answer.text

    def meristem(self, *words: str) -> str:
        command = [sys.executable, "-m", "meristem", *words, "--system", "system.py", "--placement", "placement.toml"]
        found = subprocess.run(command, cwd=self.folder, env=VARIABLES, capture_output=True, timeout=60, check=False)
        assert found.returncode == 0, found.stderr
        return found.stdout.decode()

    def dead(self) -> list[dict[str, Any]]:
        """The dead letters, as soon as there are some."""
        until = time.monotonic() + 30
        while not (found := json.loads(self.meristem("events", "dead", "--json")).get("counter")):
            assert time.monotonic() < until
        return found  # type: ignore[no-any-return]


VARIABLES = os.environ | {"SHOP_CRM_TOKEN": TOKEN, "SHOP_CRM_SECRET": SECRET}


@pytest.fixture(scope="module", params=WHERE)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = copied(Path(__file__).parent / "parcels", tmp_path_factory.mktemp("hooks") / "shop")
    crm, audit = Hook().start(), Hook().start()
    prefix = prefix_of_its_own()
    text = WHERE[request.param].format(prefix=prefix) + PLACEMENT.format(crm=crm.url, audit=audit.url)
    run = start(folder, "system.py", text, SHOP_CRM_TOKEN=TOKEN, SHOP_CRM_SECRET=SECRET)
    try:
        run.wait()
        shop = Shop(folder, run, crm, audit)
        yield shop
        shop.client.close()
        assert TOKEN not in "".join(run.lines)
        assert SECRET not in "".join(run.lines)
    finally:
        run.end()
        crm.stop()
        audit.stop()
    if request.param.endswith("NATS"):
        asyncio.run(forget(prefix))


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    for hook in (running.crm, running.audit):
        hook.posted.clear()
        hook.answers.clear()
        hook.otherwise = Answer(204)
    yield running
    running.crm.start()


def read(posted: Posted) -> CloudEvent:
    return http.from_http_event(http.HTTPMessage(posted.headers, posted.body))  # type: ignore[return-value]


def numbers(hook: Hook, count: int) -> list[int]:
    return [read(each).get_data()["number"] for each in hook.wait(count)]  # type: ignore[index,call-overload]


def test_the_sdk_reads_what_both_are_sent(shop: Shop) -> None:
    shop.order("ada lovelace ü", 1)
    (crm,), (audit,) = shop.crm.wait(1), shop.audit.wait(1)
    assert crm.headers["content-type"] == "application/cloudevents+json"
    assert audit.headers["content-type"] == "application/json"
    assert (crm.headers["authorization"], "authorization" in audit.headers) == (f"Bearer {TOKEN}", False)
    assert ("webhook-signature" in crm.headers, "webhook-signature" in audit.headers) == (True, False)
    for found in map(read, (crm, audit)):
        assert (found.get_type(), found.get_source()) == ("shop.counter.v1.Ordered", "//shop/counter")
        assert (found.get_subject(), found.get_data()) == (
            "ada lovelace ü",
            {"customer": "ada lovelace ü", "number": 1},
        )
    assert read(crm).get_id() == read(audit).get_id()


def test_order_by_key_outlasts_outages_and_one_that_is_away_holds_nobody_up(shop: Shop) -> None:
    shop.crm.answers += [Answer(500), Answer(503, headers=[("retry-after", "1")]), Answer(502), Answer(429)]
    shop.order("bob", *range(10))
    assert numbers(shop.audit, 10) == list(range(10))
    assert numbers(shop.crm, 14) == [0, 0, 0, 0, *range(10)]  # as many attempts as it has not
    shop.crm.stop()
    shop.order("bob", 10, 11)
    assert numbers(shop.audit, 12)[10:] == [10, 11]
    shop.crm.start()
    assert numbers(shop.crm, 16)[14:] == [10, 11]
    assert json.loads(shop.meristem("events", "dead", "--json")).get("counter", []) == []


def test_what_is_refused_is_a_dead_letter_with_what_was_said_and_may_be_sent_again(shop: Shop) -> None:
    shop.crm.answers += [Answer(422, b"no such customer\r\n"), Answer(422, b"no such customer")]
    shop.order("eve", 1, 2)
    assert numbers(shop.crm, 3) == [1, 1, 2]
    [letter] = shop.dead()
    assert (letter["subscriber"], letter["attempts"]) == ("crm", 2)
    assert letter["error"] == "crm answered 422: no such customer"
    listed = json.loads(shop.meristem("events", "list", "--json"))
    assert {each["name"]: each["dead"] for each in listed["subscribers"]}["crm"] == 1
    [ordered] = [each for each in listed["events"] if each["type"] == "shop.counter.v1.Ordered"]
    assert ordered["webhooks"] == ["crm", "audit"]
    shop.meristem("events", "redrive", "--subscriber", "crm")
    assert numbers(shop.crm, 4)[3] == 1
    shop.crm.answers.append(Answer(410))
    shop.order("eve", 3)
    assert shop.dead()[0]["error"] == "Undeliverable: crm answered 410"
    assert "1 event discarded" in shop.meristem("events", "discard", "--subscriber", "crm")


def test_an_event_from_outside_goes_out_to_whom_the_placement_names(shop: Shop) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/dhl", "type": "carrier.v1.ParcelDelivered"}
    answer = shop.client.post(
        "/cloudevents",
        json=event | {"data": {"parcel": "through"}},
        headers={"authorization": "Bearer of-dhl", "content-type": "application/cloudevents+json"},
    )
    assert answer.status_code == 202
    [posted] = shop.audit.wait(1)
    found = read(posted)
    assert (found.get_id(), found.get_source(), found.get_data()) == ("1", "/dhl", {"parcel": "through"})
    assert not {"ce-authid", "ce-sender", "ce-authclaims"} & {*posted.headers}


def test_its_secrets_are_not_shown(shop: Shop) -> None:
    shown = shop.meristem("settings")
    assert "SHOP_CRM_TOKEN" in shown
    assert TOKEN not in shown
    assert SECRET not in shown
