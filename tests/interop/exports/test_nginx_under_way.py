"""What nginx does beside statuses: issuers that come and go, bodies of who is refused, requests in flight, tunnels."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from joserfc.jwk import OKPKey

from meristem.asgi import respond
from meristem.gateway.identity.api_keys import read_keys, write_keys
from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.credentials import KEYS, OF_SMALL_ORDER, SECRET
from tests.interop.exports.fronts import echo, edge_front, free_port, ground, play
from tests.interop.exports.nginx_front import missing, nginx_front
from tests.interop.exports.transcript_of_credentials import ISSUER, SECRETS, TOKENS, bearer
from tests.interop.exports.transcript_of_credentials import KEYS as OF_KEYS
from tests.suites.issuing import OTHER, RSA, claims, part, signed

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
PATIENCE = 30
APART = 5.2  # seconds after which an issuer may be asked again
MINE = '[gateway.routes.mine]\npath = "/mine/*"\nrequire = "user"\n'


class Documents:
    """An issuer that tells its keys while it `is_there`, or where they are."""

    def __init__(self) -> None:
        self.is_there = True
        self.keys = list(KEYS)
        self.asked: list[str] = []
        self.url = ""

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        if not self.is_there:
            await respond(send, 500, b"text/plain", b"")
        elif scope["path"].endswith("/openid-configuration"):
            told = {"issuer": self.url, "jwks_uri": f"{self.url}/keys?of=all"}
            await respond(send, 200, b"application/json", json.dumps(told).encode())
        else:
            told = {"keys": [each.as_dict(private=False) for each in self.keys]}
            await respond(send, 200, b"application/json", json.dumps(told).encode())


async def test_an_issuer_that_is_away_keeps_nobody_out_whose_keys_are_known_and_new_keys_are_read(tmp_path: Path):
    issuer = Documents()
    issuer.is_there = False
    async with ground(Theme("", MINE + ISSUER, ()), tmp_path, keys=issuer) as known, nginx_front(known) as front:
        away = await front.ask(Asked("/mine/", 503, fields=bearer("rs256")))
        assert (away.status, away.fields["retry-after"]) == (503, "5")
        assert (await front.ask(Asked("/", 200))).status == 200

        issuer.is_there = True
        assert (await front.ask(Asked("/mine/", 503, fields=bearer("rs256")))).status == 503  # it was asked just now
        await asyncio.sleep(APART)
        assert (await front.ask(Asked("/mine/", 200, fields=bearer("rs256")))).status == 200
        asked = len(issuer.asked)
        for _ in range(5):
            assert (await front.ask(Asked("/mine/", 401, fields=bearer("unknown_kid")))).status == 401
        assert len(issuer.asked) == asked

        issuer.keys = [OTHER]
        await asyncio.sleep(APART)
        other = (("authorization", f"Bearer {signed(OTHER, 'RS256')}"),)
        assert (await front.ask(Asked("/mine/", 200, fields=other))).status == 200
        # Its key was withdrawn, so what was verified by it counts no more.
        assert (await front.ask(Asked("/mine/", 401, fields=bearer("rs256")))).status == 401

        issuer.is_there = False
        await asyncio.sleep(APART)
        assert (await front.ask(Asked("/mine/", 200, fields=other))).status == 200
        fresh = (("authorization", f"Bearer {signed(OTHER, 'RS256', typ='JWT')}"),)
        assert (await front.ask(Asked("/mine/", 200, fields=fresh))).status == 200


async def test_a_point_of_small_order_is_no_key_for_anybody_could_sign_by_it(tmp_path: Path):
    point = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "kid": "small", "x": part(OF_SMALL_ORDER)})
    issuer = Documents()
    issuer.keys = [RSA, point]
    token = f"{part({'alg': 'EdDSA', 'kid': 'small'})}.{part(claims())}.{part(OF_SMALL_ORDER + chr(0) * 32)}"
    async with ground(Theme("", MINE + ISSUER, ()), tmp_path, keys=issuer) as known, nginx_front(known) as front:
        assert (await front.ask(Asked("/mine/", 200, fields=bearer("rs256")))).status == 200
        forged = (("authorization", f"Bearer {token}"),)
        assert (await front.ask(Asked("/mine/", 401, fields=forged))).status == 401


async def test_keys_are_found_where_the_issuer_says_that_they_are(tmp_path: Path):
    issuer = Documents()
    policy = MINE + '[gateway.issuers.main]\nissuer = "{jwks}"\naudience = "https://api.shop.example"\n'
    async with ground(Theme("", policy, ()), tmp_path, keys=issuer) as known:
        table = known.blueprint.placement.gateway
        assert table is not None
        issuer.url = table.issuers["main"].issuer
        async with nginx_front(known, approximate=True) as front:
            token = signed(RSA, "RS256", claims(iss=issuer.url))
            answered = await front.ask(Asked("/mine/", 200, fields=(("authorization", f"Bearer {token}"),)))
    assert (answered.status, issuer.asked) == (200, ["/jwks/.well-known/openid-configuration", "/jwks/keys"])


async def test_behind_nginx_the_edge_holds_the_same_policy_and_both_agree(tmp_path: Path):
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(ground(TOKENS, tmp_path))
        edge = await stack.enter_async_context(edge_front(known))
        front = await stack.enter_async_context(nginx_front(known._replace(upstream=edge.port)))
        assert await play(front, TOKENS) == []


async def test_a_key_counts_no_more_as_soon_as_it_is_revoked(tmp_path: Path):
    async with ground(OF_KEYS, tmp_path) as known, nginx_front(known) as front:
        asked = Asked("/mine/", 200, fields=bearer("key"))
        assert (await front.ask(asked)).status == 200
        path = tmp_path / "keys.json"
        write_keys(path, [each for each in read_keys(path) if each.name != "acme"])
        await asyncio.sleep(0.3)
        assert (await front.ask(asked)).status == 401
        path.write_text("{")  # what was read before goes on to hold
        await asyncio.sleep(0.3)
        assert (await front.ask(Asked("/mine/", 200, fields=bearer("reading_key")))).status == 200


async def test_the_body_of_who_is_refused_is_never_taken_for_a_request(tmp_path: Path):
    policy = '[[gateway.firewall.rules]]\naction = "deny"\npaths = ["/closed"]\n'
    inner = b"GET /stolen HTTP/1.1\r\nhost: x\r\n\r\n"
    async with ground(Theme("", policy, ()), tmp_path) as known, nginx_front(known) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /closed HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(inner))
        await writer.drain()
        refused = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.write(inner + b"GET /honest HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        rest = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert re.findall(rb'"path": "([^"]*)"', rest) == [b"/honest"]


async def test_so_many_are_in_flight_and_no_more_and_who_leaves_makes_room(tmp_path: Path):
    going_on = asyncio.Event()
    inside = asyncio.Semaphore(0)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            inside.release()
            await going_on.wait()
        await echo(scope, receive, send)

    policy = '[gateway.concurrency.few]\nrequests = 2\nstatus = 503\n[gateway.routes.all]\nconcurrency = ["few"]\n'
    async with ground(Theme("", policy, ()), tmp_path, behind=slow) as known, nginx_front(known) as front:
        first = asyncio.create_task(front.ask(Asked("/slow", 200)))
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"PUT /slow HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\n\r\n")
        await asyncio.wait_for(inside.acquire(), PATIENCE)
        await asyncio.wait_for(inside.acquire(), PATIENCE)
        assert (await front.ask(Asked("/", 503))).status == 503
        assert (await front.ask(Asked("/", 200, client="192.0.2.2"))).status == 200
        writer.close()
        await _until(lambda: front.ask(Asked("/", 200)), 200)
        going_on.set()
        assert (await first).status == 200


async def _until(ask: Any, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await ask()).status != status:
            await asyncio.sleep(0.02)


async def test_no_more_wait_for_their_turn_than_may_and_who_leaves_is_not_served(tmp_path: Path):
    policy = (
        '[gateway.limits.slow]\nrate = "1/min"\nburst = 100\ndelay = true\nwaiting = 2\n'
        '[gateway.routes.all]\nlimits = ["slow"]\n'
    )
    seen: list[str] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await echo(scope, receive, send)

    async with ground(Theme("", policy, ()), tmp_path, behind=noting) as known, nginx_front(known) as front:
        assert (await front.ask(Asked("/first", 200))).status == 200
        waiting = await _waiting(front.port)
        assert len(waiting) >= 2  # of the table; on a busy machine the refusal may come late
        for writer in waiting:
            writer.close()
        # There is room for others to wait, so one that comes now has no answer yet.
        async with asyncio.timeout(PATIENCE):
            while (await _at_most(front.ask(Asked("/crowded", 429)))).status == 429:
                await asyncio.sleep(0.05)
    assert seen == ["/first"]


async def _waiting(port: int) -> list[asyncio.StreamWriter]:
    """Ask one after the other until one is refused: those that have no answer by then wait for their turn."""
    waiting: list[asyncio.StreamWriter] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /waits HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\n\r\n")
            try:
                line = await asyncio.wait_for(reader.readline(), 2.0)
            except TimeoutError:
                waiting.append(writer)
                continue
            writer.close()
            assert b" 429 " in line
            return waiting


class _None:
    status = 0


async def _at_most(asking: Any) -> Any:
    try:
        return await asyncio.wait_for(asking, 2.0)
    except TimeoutError:
        return _None


async def test_a_websocket_passes_and_other_upgrades_do_not(tmp_path: Path):
    async def told(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": f"heard {message['text']}"})
            await send({"type": "websocket.close"})
            return
        await echo(scope, receive, send)

    upgrade = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    key = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    async with ground(Theme("", "[gateway]\n", ()), tmp_path, behind=told) as known, nginx_front(known) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET /x//y HTTP/1.1\r\nhost: x\r\n" + upgrade + key + b"\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.write(b"\x81\x82\0\0\0\0me")  # a text of two bytes, under a mask that changes nothing
        heard = await asyncio.wait_for(reader.readexactly(2 + len("heard me")), PATIENCE)
        writer.close()
        plain = await front.ask(Asked("/", 200, fields=(("upgrade", "h2c"),)))
    assert head.startswith(b"HTTP/1.1 101 ")
    assert heard == b"\x81\x08heard me"
    assert (plain.status, plain.seen.get("upgrade")) == (200, None)


async def test_what_comes_without_tls_is_sent_to_it_and_what_comes_by_it_is_told_so(tmp_path: Path):
    authority, port = trustme.CA(), free_port()
    issued = authority.issue_cert("shop.example")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    policy = '[gateway]\nhttps = true\n[gateway.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(ground(Theme("", policy, ()), tmp_path))
        front = await stack.enter_async_context(nginx_front(known, tls_port=port))
        client = await stack.enter_async_context(httpx.AsyncClient(verify=context, trust_env=False))
        named = {"headers": {"host": "shop.example"}, "extensions": {"sni_hostname": "shop.example"}}
        by_tls = await client.get(f"https://127.0.0.1:{port}/x", **named)
        without = await front.ask(Asked("/x", 308))
    assert (by_tls.status_code, by_tls.json()["x-forwarded-proto"]) == (200, "https")
    assert by_tls.headers["strict-transport-security"] == "max-age=31536000"
    assert (without.status, without.fields["location"]) == (308, "https://shop.example/x")


async def test_a_secret_is_in_its_variable_or_in_a_file_and_missed_before_anything_is_served(tmp_path: Path):
    name, path = "SHOP_GATEWAY_MAIN_SECRET", tmp_path / "secret"
    path.write_text(SECRET + "\n")
    async with ground(SECRETS, tmp_path) as known:
        async with nginx_front(known, environment={f"{name}_FILE": str(path)}) as front:
            assert (await front.ask(Asked("/mine/", 200, fields=bearer("hs256")))).status == 200
        for unusable in ({}, {name: "short"}):
            with pytest.raises(AssertionError, match=f"{name} has to hold the secret of the issuer"):
                async with nginx_front(known, environment=unusable):
                    pass


async def test_answers_are_compressed_for_who_accepts_that(tmp_path: Path):
    async def long(_scope: Any, _receive: Any, send: Any) -> None:
        await respond(send, 200, b"application/json", b'"' + b"x" * 5_000 + b'"', [(b"etag", b'"1"')])

    policy = '[gateway.compression]\n[gateway.routes.plain]\npath = "/plain"\ncompression = false\n'
    accepting = (("accept-encoding", "gzip"),)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(ground(Theme("", policy, ()), tmp_path, behind=long))
        front = await stack.enter_async_context(nginx_front(known, approximate=True))
        packed = await front.ask(Asked("/", 200, fields=accepting))
        plain = [await front.ask(Asked("/plain", 200, fields=accepting)), await front.ask(Asked("/", 200))]
    assert (packed.fields["content-encoding"], packed.fields["etag"]) == ("gzip", 'W/"1"')
    assert [each.fields.get("content-encoding") for each in plain] == [None, None]
