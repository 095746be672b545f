"""Envoy with what is exported for it answers the transcript as the edge does, as far as it can hold its policies."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import trustme

from meristem.errors import ConfigurationError
from meristem.gateway.export.envoy import scripts
from meristem.gateway.export.exported_policy import HostPort
from meristem.gateway.export.targets.known_targets import exported
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from tests.interop.exports.asked_request import CUT, Asked, Theme
from tests.interop.exports.envoy_front import envoy_front, needs_envoy
from tests.interop.exports.fronts import PATIENCE, SYSTEM, edge_front, exchange, free_port, ground, play
from tests.interop.exports.maze import maze, told
from tests.interop.exports.transcript import (
    BANS,
    BODIES,
    CORS,
    FIELDS,
    FIREWALL,
    HOSTS,
    HTTPS,
    KEYS,
    LIMITS,
    OPERATIONS,
    PATHS,
    SECRETS,
    THEMES,
    TOKENS,
)

WHOLE = (PATHS, HOSTS, HTTPS, CORS, BODIES, TOKENS, SECRETS, FIELDS)
REFUSED = (
    (FIREWALL, ("head_above", "addresses_file", "status")),
    (BANS, ("[gateway.firewall.ban]",)),
    (LIMITS, ("[gateway.routes.one] limits", "[gateway.routes.two] limits")),
    (KEYS, ("[gateway.routes.mine] require", "[gateway.routes.orders] require", "[gateway.routes.few] require")),
    (OPERATIONS, ("[gateway.routes.place] require", "[gateway.routes.orders] require")),
)
BY_TOKENS = {'require = "key"': 'require = "user"', "user or key": "user"}
RATE = """
[gateway.limits.each]
rate = "200/s"
burst = 100
delay = true
status = 503
[gateway.routes.all]
path = "/*"
limits = ["each"]
"""


@needs_envoy
@pytest.mark.parametrize("theme", WHOLE, ids=lambda theme: theme.name)
async def test_each_request_has_the_status_that_the_transcript_tells(theme: Theme, tmp_path: Path):
    async with ground(theme, tmp_path) as known, envoy_front(known) as front:
        assert await play(front, theme) == []


@pytest.mark.parametrize(("theme", "keys"), REFUSED, ids=lambda each: getattr(each, "name", ""))
async def test_what_envoy_cannot_hold_is_refused_and_told_by_its_keys(
    theme: Theme, keys: tuple[str, ...], tmp_path: Path
):
    async with ground(theme, tmp_path) as known:
        with pytest.raises(ConfigurationError) as refusal:
            exported("envoy", known.policy(free_port()))
    told = str(refusal.value)
    assert [each for each in keys if each not in told] == []


def test_each_theme_is_held_or_refused():
    known = [*WHOLE, *(theme for theme, _ in REFUSED)]
    assert sorted(each.name for each in THEMES) == sorted(each.name for each in known)


@pytest.mark.parametrize("theme", [KEYS, OPERATIONS], ids=lambda theme: theme.name)
async def test_nobody_is_let_in_for_an_approximation(theme: Theme, tmp_path: Path):
    async with ground(theme, tmp_path) as known:
        with pytest.raises(ConfigurationError, match="API|keys"):
            exported("envoy", known.policy(free_port()), approximate=True)


@needs_envoy
async def test_a_firewall_is_held_but_for_cut_connections(tmp_path: Path):
    async with ground(FIREWALL, tmp_path) as known, envoy_front(known, approximate=True) as front:
        asked = tuple(each._replace(status=403) if each.status == CUT else each for each in FIREWALL.asked)
        assert await play(front, FIREWALL._replace(asked=asked)) == []


@needs_envoy
async def test_limits_are_held_but_for_several_on_a_route(tmp_path: Path):
    """What the first of two has taken it keeps; and of `RateLimit` fields there are none."""
    single = [each for each in LIMITS.asked if each.target != "/two/" and each.client != "192.0.2.6"]
    told = {"ratelimit", "ratelimit-policy"}
    asked = [
        each._replace(answered={name: value for name, value in each.answered.items() if name not in told})
        for each in single
    ]
    async with ground(LIMITS, tmp_path) as known, envoy_front(known, approximate=True) as front:
        assert await play(front, LIMITS._replace(asked=tuple(asked))) == []
        two = [(await front.ask(Asked("/two/", 200, client="192.0.2.6"))).status for _ in range(6)]
        assert (two[:2], {*two[2:]} - {429, 503}) == ([200, 200], set())


@needs_envoy
async def test_operations_are_found_at_both_their_paths(tmp_path: Path):
    """As the transcript has it with keys, here with tokens, which Envoy takes."""
    placement = OPERATIONS.placement
    for keys, users in BY_TOKENS.items():
        placement = placement.replace(keys, users)
    credentials = {"{key}": "{rs256}", "{reading_key}": "{reader}"}

    def with_token(asked: Asked) -> Asked:
        fields = asked.fields
        for key, token in credentials.items():
            fields = tuple((name, value.replace(key, token)) for name, value in fields)
        return asked._replace(fields=fields)

    theme = Theme("operations by tokens", placement, tuple(map(with_token, OPERATIONS.asked)))
    async with ground(theme, tmp_path) as known, envoy_front(known) as front:
        assert await play(front, theme) == []


@needs_envoy
async def test_admitted_are_the_burst_and_the_rate_by_the_time(tmp_path: Path):
    """200 a second and 100 more, of 600 that come at once: those beyond are refused, and none waits."""
    async with ground(Theme("rate", RATE, ()), tmp_path) as known, envoy_front(known, approximate=True) as front:
        began = time.monotonic()
        heads = await asyncio.gather(*(head_of_one(front.port, "/") for _ in range(600)))
        took = time.monotonic() - began
    found = Counter(int(each.split()[1]) for each in heads)
    assert {*found} == {200, 503}
    assert 101 <= found[200] <= 1.1 * (101 + 200 * took)


@needs_envoy
async def test_whatever_a_target_is_made_of_it_is_on_the_same_route(tmp_path: Path):
    theme = maze()
    statuses: Counter[int] = Counter()
    async with (
        ground(theme, tmp_path) as known,
        edge_front(known) as edge,
        envoy_front(known) as envoy,
    ):
        for asked in theme.asked:
            there, here = await asyncio.gather(edge.ask(asked), envoy.ask(asked))
            statuses[here.status] += 1
            assert told(here) == told(there), asked
    assert {*statuses} == {200, 301, 302, 307, 400, 403, 421}


@needs_envoy
async def test_the_edge_behind_learns_who_asks(tmp_path: Path):
    """As from the proxies before Envoy, of which one names the other, and nothing that a client has made up."""
    async with ground(FIREWALL, tmp_path) as known, envoy_front(known, approximate=True) as front:
        far = await front.ask(Asked("/admin/", 200, client="203.0.113.9, 198.51.100.7, 127.0.0.1"))
        assert (far.status, far.seen["x-forwarded-for"]) == (200, "203.0.113.9, 198.51.100.7, 127.0.0.1")
        denied = await front.ask(Asked("/", 403, client="198.51.100.7, 203.0.113.9, 127.0.0.1"))
        assert denied.status == 403


@needs_envoy
async def test_a_peer_that_is_no_proxy_says_nothing_of_who_asks(tmp_path: Path):
    async with ground(FIREWALL, tmp_path) as known:
        placement = known.folder / "placement.toml"
        placement.write_text(placement.read_text().replace('["127.0.0.1"]', '["192.0.2.250"]'))
        stranger = known._replace(blueprint=Blueprint(SYSTEM, Placement.read(placement)))
        async with envoy_front(stranger, approximate=True) as front:
            told = (("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example"), ("forwarded", "for=1.2.3.4"))
            answered = await front.ask(Asked("/", 200, client="203.0.113.9", fields=told))
            seen = {name: value for name, value in answered.seen.items() if "forwarded" in name}
            assert (answered.status, seen) == (
                200,
                {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"},
            )
            assert (await front.ask(Asked("/admin/", 404, client="198.51.100.7"))).status == 404


MUCH = """
[gateway]
hosts = ["shop.example", "*.shop.example", "[2001:db8::1]"]
body_bytes = 1000000
[gateway.headers]
set = { x-share = "100%" }
[gateway.issuers.main]
issuer = "https://login.example"
audience = "shop"
jwks = "https://login.example/keys?all=1"
leeway = "500ms"
claims = { roles = "a.b", tenant = "org" }
[gateway.issuers.failed]
issuer = 'https://"partner".example'
audience = ["shop", "hall"]
jwks = "http://[::1]:8080/keys"
subject_prefix = 'part\\ner "é":'
[gateway.limits.slow]
rate = "2.5/h"
by = ["tenant", "route"]
[gateway.limits.fast]
rate = "100000/s"
burst = 1000
by = "route"
[gateway.routes.api]
path = "/café/*"
require = "user"
limits = ["slow", "fast"]
timeout = "1500ms"
retries = 3
request_headers = { set = { x-a-b-c = "1%" } }
[gateway.routes.orders]
operations = ["shop.v1.Orders.read"]
hosts = ["*.a.shop.example"]
timeout = "2s"
[[gateway.firewall.rules]]
action = "allow"
addresses = ["2001:db8::/32", "192.0.2.1"]
headers = [{ name = "host", matches = "*.shop.example" }, { name = "x-kind", present = false }]
[[gateway.firewall.rules]]
action = "deny"
dry_run = true
"""


@needs_envoy
async def test_all_that_is_exported_is_sound_to_envoy(tmp_path: Path):
    """Where an issuer is away, and waits for a name that nobody knows, Envoy serves all else."""
    async with (
        ground(Theme("much", MUCH, ()), tmp_path) as known,
        envoy_front(known, approximate=True) as front,
    ):
        answered = await front.ask(Asked("/elsewhere", 200))
        assert (answered.status, answered.fields["x-share"]) == (200, "100%")
        seen = (await front.ask(Asked("/elsewhere", 200, host="b.a.shop.example:8080"))).seen
        assert [name for name in seen if name.startswith("x-meristem")] == []
        assert (await front.ask(Asked("/caf%C3%A9/x", 401))).status == 401
        assert (await front.ask(Asked("/caf%c3%a9", 401, host="[2001:db8::1]:80"))).status == 401


PATIENT = """
[gateway.routes.slow]
path = "/slow/*"
timeout = "200ms"
[gateway.routes.broken]
path = "/broken/*"
retries = 2
"""


@needs_envoy
async def test_what_takes_too_long_is_504_and_what_breaks_off_is_asked_again_if_it_changes_nothing(tmp_path: Path):
    came: Counter[str] = Counter()
    held = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        came[method] += 1
        if path.startswith("/slow"):
            await held.wait()
        writer.close()

    behind = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with behind, ground(Theme("patient", PATIENT, ()), tmp_path) as known:
        broken = known._replace(upstream=behind.sockets[0].getsockname()[1])
        async with envoy_front(broken, approximate=True) as front:
            assert (await front.ask(Asked("/slow/x", 504))).status == 504
            came.clear()
            assert (await front.ask(Asked("/broken/x", 503))).status == 503
            assert (await front.ask(Asked("/broken/x", 503, method="POST"))).status == 503
            assert came == {"GET": 3, "POST": 1}
        held.set()


@needs_envoy
async def test_while_keys_have_not_been_read_the_answer_is_503(tmp_path: Path):
    theme = TOKENS._replace(placement=TOKENS.placement.replace("{jwks}", f"http://127.0.0.1:{free_port()}/jwks"))
    async with ground(theme, tmp_path) as known, envoy_front(known) as front:
        bearer = (("authorization", "Bearer {rs256}"),)
        assert (await front.ask(Asked("/mine/", 503, fields=bearer))).status == 503
        assert (await front.ask(Asked("/mine/", 401))).status == 401


@needs_envoy
async def test_a_body_in_chunks_is_bounded_and_counts_as_large(tmp_path: Path):
    async def posted(port: int, path: str, size: int) -> int:
        chunk = f"{size:x}\r\n{'x' * size}\r\n0\r\n\r\n"
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        return (await exchange(port, (head + chunk).encode())).status

    async with ground(BODIES, tmp_path) as known, envoy_front(known) as front:
        assert [await posted(front.port, "/", size) for size in (1_000, 1_001)] == [200, 413]
    async with ground(FIREWALL, tmp_path) as known, envoy_front(known, approximate=True) as front:
        assert [await posted(front.port, path, 1) for path in ("/", "/small/x")] == [200, 403]


@needs_envoy
@pytest.mark.parametrize("script", ["prepare", "decide"])
async def test_a_script_that_fails_lets_nobody_in(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(name: str, known: Mapping[str, object], modules: Iterable[str]) -> str:
        return whole(name, known, modules).replace(
            f"function {script}(handle)\n", f"function {script}(handle)\n  error('x')\n"
        )

    whole = scripts._script
    monkeypatch.setattr(scripts, "_script", failing)
    async with ground(TOKENS, tmp_path) as known, envoy_front(known) as front:
        bearer = (("authorization", "Bearer {rs256}"),)
        assert (await front.ask(Asked("/mine/", 500, fields=bearer))).status == 500


@needs_envoy
async def test_nobody_outside_tells_envoy_to_repeat_a_request(tmp_path: Path):
    async with ground(PATHS, tmp_path) as known, envoy_front(known) as front:
        told = (("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "9"), ("x_envoy_upstream_rq_timeout_ms", "1"))
        seen = (await front.ask(Asked("/", 200, fields=told))).seen
        assert [name for name in seen if "envoy" in name] == []


@needs_envoy
async def test_by_tls_browsers_are_told_to_come_by_tls_again(tmp_path: Path):
    authority = trustme.CA()
    certificate = authority.issue_cert("shop.example")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    theme = Theme("tls", HTTPS.placement + '[gateway.tls]\ncertificate = "chain.pem"\nkey = "key.pem"\n', ())
    port = free_port()
    async with ground(theme, tmp_path) as known, envoy_front(known, https=HostPort("127.0.0.1", port)) as front:
        assert (await front.ask(Asked("/", 308))).status == 308
        context = ssl.create_default_context()
        authority.configure_trust(context)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="shop.example")
        writer.write(b"GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-proto: https\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=31536000\r\n" in head


COMPRESSED = """
[gateway.compression]
codings = ["zstd", "br", "gzip"]
min_bytes = 100
[gateway.routes.plain]
path = "/plain/*"
compression = false
"""


@needs_envoy
async def test_answers_are_compressed_as_clients_like_best(tmp_path: Path):
    theme = Theme("codings", COMPRESSED, ())
    async with ground(theme, tmp_path) as known, envoy_front(known, approximate=True) as front:

        async def coding(accepted: str, path: str = "/") -> str:
            head = await head_of_one(front.port, path, f"accept-encoding: {accepted}", f"x-long: {'x' * 2_000}")
            return next((line[18:] for line in head.split("\r\n") if line.startswith("content-encoding: ")), "")

        accepted = ("gzip, br, zstd", "br, gzip", "gzip", "gzip;q=0.5, br;q=0.9", "identity")
        assert [await coding(each) for each in accepted] == ["zstd", "br", "gzip", "br", ""]
        assert await coding("gzip", "/plain/x") == ""


async def head_of_one(port: int, path: str, *lines: str) -> str:
    """The head of an answer, on a connection that could go on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: shop.example", *lines, "", ""]).encode())
        return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
    finally:
        writer.close()
