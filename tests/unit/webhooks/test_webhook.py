"""What is posted to a subscriber outside, and what its answers mean."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.bus import SubscriberAway
from meristem.events.direct import DirectBus
from meristem.events.envelope import Envelope
from meristem.events.outage import FailedElsewhere
from meristem.system.placement import Placement
from meristem.system.placement_tables import EventsTable, EventSubscriber
from meristem.system.webhook_access import with_webhooks
from meristem.webhooks.posting import Poster, wrong_url
from meristem.webhooks.webhook import Webhook
from tests.suites.hook import Answer, Hook

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENVELOPE = Envelope(
    id="01890a5d-ac96-774b-bcce-b302099a8057", source="//shop/orders", type="shop.v1.Ordered", subject="café 7%",
    time=datetime.now(UTC), datacontenttype="application/json", traceparent=TRACE,
    authtype="app_user", authid="ada", authclaims='{"roles":["admin"]}', causationid="key", baggage="tenant=7",
    sender="u1",
    data=msgspec.Raw(b'{"number":1}'),
)  # fmt: skip
OWN = ("ada", "admin", "key", "tenant", "u1")


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook().start()
    yield hook
    hook.stop()


def webhook(hook: Hook, *, binary: bool = True, timeout: float = 10.0, **more: Any) -> Webhook:
    return Webhook("crm", Poster(hook.url, None), binary=binary, timeout=timeout, **more)


async def test_an_event_leaves_in_either_mode_without_what_is_this_systems_own(hook: Hook) -> None:
    for binary in (True, False):
        crm = webhook(hook, binary=binary, token="letmein")
        await crm.deliver(ENVELOPE)
        crm.close()
    (path, headers, body), (_, others, whole) = hook.posted
    assert path == "/hooks/events?a=1"
    assert headers["authorization"] == others["authorization"] == "Bearer letmein"
    assert (headers["content-type"], body) == ("application/json", b'{"number":1}')
    assert {name: value for name, value in headers.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0", "ce-id": ENVELOPE.id, "ce-source": "//shop/orders", "ce-type": "shop.v1.Ordered",
        "ce-subject": "caf%C3%A9%207%25", "ce-time": headers["ce-time"], "ce-traceparent": ENVELOPE.traceparent,
    }  # fmt: skip
    assert others["content-type"] == "application/cloudevents+json"
    found = msgspec.json.decode(whole)
    assert (found["subject"], found["data"]) == ("café 7%", {"number": 1})
    assert not {"authtype", "authid", "authclaims", "causationid", "baggage", "sender"} & {*found}
    assert not any(name.startswith("ce-") for name in others)


async def test_what_is_sent_is_signed_as_standard_webhooks_has_it(hook: Hook) -> None:
    secret = b"s" * 32
    crm = webhook(hook, binary=False, secret=secret)
    await crm.deliver(ENVELOPE)
    await crm.deliver(msgspec.structs.replace(ENVELOPE, id="any\x7fthing.at all"))
    for _, headers, body in hook.posted:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
        assert "." not in headers["webhook-id"]
    crm.close()


async def deliver(hook: Hook, answer: Answer, envelope: Envelope = ENVELOPE) -> Exception:
    hook.answers.append(answer)
    crm = webhook(hook)
    with pytest.raises(Exception, match="crm answered") as caught:
        await crm.deliver(envelope)
    crm.close()
    assert len(hook.posted) == 1
    return caught.value


@pytest.mark.parametrize("status", [410, 413, 415])
async def test_what_no_repetition_helps_is_a_dead_letter_at_once(hook: Hook, status: int) -> None:
    assert isinstance(await deliver(hook, Answer(status)), Undeliverable)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 301, 307])
async def test_a_refusal_counts_an_attempt(hook: Hook, status: int) -> None:
    failure = await deliver(hook, Answer(status, b"no\r\n\x1b[31m such\tguest" + b"x" * 1000, [("location", "/else")]))
    assert isinstance(failure, FailedElsewhere)
    assert not failure.is_outage
    if status >= 400:
        assert str(failure).startswith(f"crm answered {status}: no [31m such guestxx")
        assert len(str(failure)) < 250
    else:
        assert "redirects are not followed" in str(failure)


@pytest.mark.parametrize("status", [401, 408, 425, 500, 502, 504])
async def test_what_may_pass_counts_none(hook: Hook, status: int) -> None:
    failure = await deliver(hook, Answer(status, headers=[("retry-after", "7")]))
    assert isinstance(failure, FailedElsewhere)
    assert (failure.is_outage, failure.retry_after) == (True, 7.0)


@pytest.mark.parametrize("status", [429, 503])
async def test_all_that_waits_for_one_that_asks_for_patience_pauses_as_long(hook: Hook, status: int) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    asked = {"5": 5.0, "9" * 400: 3600.0, in_a_minute: 60.0, "soon": None, "": None, "-1": None}
    for said, expected in asked.items():
        hook.posted.clear()
        failure = await deliver(hook, Answer(status, headers=[("retry-after", said)]))
        assert isinstance(failure, SubscriberAway)
        assert failure.retry_after == (None if expected is None else pytest.approx(expected, abs=30))
    hook.posted.clear()
    old = msgspec.structs.replace(ENVELOPE, time=datetime.now(UTC) - timedelta(days=8))
    failure = await deliver(hook, Answer(status), old)
    assert isinstance(failure, FailedElsewhere)  # after a week an outage counts like any other failure
    assert failure.is_outage


async def test_an_event_of_others_with_any_time_and_type_of_data_is_sent(hook: Hook) -> None:
    crm = webhook(hook)
    for at in map(datetime.fromisoformat, ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59")):
        hook.answers.append(Answer(503))
        with pytest.raises((SubscriberAway, FailedElsewhere)):
            await crm.deliver(msgspec.structs.replace(ENVELOPE, time=at))
    await crm.deliver(msgspec.structs.replace(ENVELOPE, datacontenttype="application/json; a=€"))
    assert hook.posted[-1].headers["content-type"].encode("latin-1").decode() == "application/json; a=€"
    crm.close()


async def test_one_that_is_not_there_or_says_nothing_is_away(hook: Hook) -> None:
    crm = webhook(hook, timeout=0.3)
    hook.hold = lambda _: time.sleep(1)
    with pytest.raises(FailedElsewhere, match=r"within 0\.3 s") as caught:
        await crm.deliver(ENVELOPE)
    assert caught.value.is_outage
    hook.stop()
    with pytest.raises(SubscriberAway, match="can't be reached"):
        await crm.deliver(ENVELOPE)
    crm.close()


async def test_a_connection_is_kept_and_another_one_made_where_it_was_closed(hook: Hook) -> None:
    crm = webhook(hook)
    for _ in range(3):
        await crm.deliver(ENVELOPE)
    hook.stop()
    hook.start()
    await asyncio.gather(*(crm.deliver(ENVELOPE) for _ in range(20)))
    assert len(hook.posted) == 23
    crm.close()


@pytest.fixture
async def raw() -> AsyncIterator[Any]:
    """A server that says what a test has it say, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(said: bytes) -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(said)

        async def deliver(what: bytes) -> None:
            serving = asyncio.create_task(asyncio.to_thread(serve, what))
            crm = Webhook("crm", Poster(f"http://127.0.0.1:{listening.getsockname()[1]}", None), binary=True, timeout=5)
            try:
                await crm.deliver(ENVELOPE)
            finally:
                crm.close()
                await serving

        yield deliver


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil its end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 300_000,
    ],
)
async def test_an_answer_of_any_form_is_read_so_far_as_it_matters(raw: Any, answer: bytes) -> None:
    await raw(answer)


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 2"],
)
async def test_what_is_no_answer_is_an_outage(raw: Any, answer: bytes) -> None:
    with pytest.raises(FailedElsewhere) as caught:
        await raw(answer)
    assert caught.value.is_outage


@pytest.mark.parametrize(
    "url",
    [
        "crm.example/hook", "ftp://crm.example", "https://", "https://user:secret@crm.example/", "https://a:99999/",
        "https://crm.example/ü", "https://crm.example/a b", "https://crm.example/\r\nx: y", "https://crm.example/#part",
        "http://[::1", "https://crm.example:0/",
    ],
)  # fmt: skip
def test_a_url_to_which_nothing_can_be_posted_is_refused_and_not_quoted(url: str) -> None:
    problem = wrong_url(url)
    assert problem is not None
    assert "secret" not in problem


def made(url: str, mode: str = "structured", **settings: str) -> Any:
    table = EventSubscriber(url=url, types=("*",), mode=mode)  # type: ignore[arg-type]
    placement = Placement(events=EventsTable({"crm": table}))
    variables = {f"SHOP_CRM_{name.upper()}": value for name, value in settings.items()}
    return with_webhooks(DirectBus(), "shop", placement, variables)


@pytest.mark.parametrize(
    ("url", "mode", "settings", "said"),
    [
        ("http://crm.example/", "binary", {"token": "letmein"}, "unencrypted"),
        ("https://crm.example/", "binary", {"secret": "whsec_" + "c2Vj" * 11}, "structured"),
        ("https://crm.example/", "structured", {"secret": "whsec_c2Vj"}, "at least 24 bytes"),
        ("https://crm.example/", "structured", {"secret": "letmein, letmein, letmein, letmein"}, "in base64"),
        ("https://crm.example/", "binary", {"token": "let\nme-in"}, "no header"),
        ("letmein", "binary", {}, "none of HTTP"),
        ("https://crm.example/", "binary", {"ca": "/nowhere/ca.pem"}, "cannot be used"),
    ],
)
def test_what_can_not_be_meant_is_refused_at_the_start_without_its_secret(
    url: str, mode: str, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        made(url, mode, **settings)
    assert "letmein" not in str(caught.value)
    made("http://127.0.0.1:1/", token="letmein")


async def test_nothing_is_sent_where_the_certificate_does_not_hold(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    hook = Hook(context).start()
    envelope, bus = ENVELOPE, made(hook.url, token="letmein")
    try:
        with pytest.raises(SubscriberAway, match="certificate verify failed"):
            await bus.publish(envelope, "crm")
        assert hook.posted == []
        trusting = made(hook.url, token="letmein", ca=str(tmp_path / "ca.pem"))
        await trusting.publish(envelope, "crm")
        assert hook.posted[0].headers["authorization"] == "Bearer letmein"
        await trusting.stop()
    finally:
        hook.stop()
