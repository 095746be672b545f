"""The first rule that fits decides; who is refused too often is banned, in bounded room, and lifted by hand."""

from __future__ import annotations

import asyncio
import os
import time as clock
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from meristem.errors import ConfigurationError
from meristem.gateway.policy.ban_book import BanBook
from meristem.gateway.policy.firewall import matches
from meristem.gateway.policy.firewall_table import BanTable, FirewallRule, FirewallTable, HeaderCondition
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.refusals import Refusals
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.gateway.policy.visit import Visit
from meristem.security.networks import Networks
from meristem.transports.http.server.http_server import HttpServer
from tests.unit.gateway.policy.asked import Clock, request, statuses, why_refused
from tests.unit.gateway.policy.test_gatekeeper import app, serving

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "192.0.2.1", "192.0.2.2"


def walled(*rules: FirewallRule, **firewall: Any) -> GatewayTable:
    return GatewayTable(firewall=FirewallTable(rules, **firewall))


@pytest.mark.parametrize(
    ("rule", "fits", "fits_not"),
    [
        ({"addresses": ("192.0.2.0/24",)}, request(ONE), request("198.51.100.1")),
        ({"addresses": ("192.0.2.1",)}, request("::ffff:192.0.2.1"), request(OTHER)),
        ({"addresses": ("2001:db8::/32",)}, request("2001:db8:1::1"), request("2001:db9::1")),
        ({"methods": ("TRACE", "PUT")}, request(method="PUT"), request()),
        ({"paths": ("/admin/*", "/x")}, request(path="/x"), request(path="/xy")),
        ({"paths": ("/admin/*",)}, request(path="/admin"), request(path="/administrator")),
        ({"paths": ("/admin/*",)}, request(path="//%61dmin/../admin/./users"), request(path="/admin/../x")),
        ({"query_above": "3 B"}, request(query=b"abcd"), request(query=b"abc")),
        ({"head_above": "1 kB"}, request(x="y" * 1000), request()),
        ({"body_above": "1 MiB"}, request(content_length="1048577"), request(content_length="1048576")),
        ({"body_above": "1 MiB"}, request(transfer_encoding="chunked"), request()),
        ({"headers": (HeaderCondition("x-a", present=True),)}, request(x_a=""), request()),
        ({"headers": (HeaderCondition("x-a", present=False),)}, request(), request(x_a="1")),
        ({"headers": (HeaderCondition("x-a", equals="Yes"),)}, request(x_a="Yes"), request(x_a="yes")),
        ({"headers": (HeaderCondition("agent", matches="*SQLmap*"),)}, request(agent="an sqlMAP/1"), request()),
        (
            {"methods": ("GET",), "addresses": (ONE,)},
            request(ONE),
            request(ONE, method="PUT"),
        ),
    ],
)  # fmt: skip
async def test_a_rule_is_for_requests_that_fit_all_it_names(rule: dict[str, Any], fits: Any, fits_not: Any):
    gatekeeper = Gatekeeper(walled(FirewallRule("deny", **rule)))
    assert await statuses(gatekeeper, fits, fits_not) == [403, 200]
    assert gatekeeper.counts == {("*", "rule-1"): 1, ("*", "admitted"): 1}
    assert gatekeeper.refusals.latest[0].why == "the firewall's rule 'rule-1' denies it"


async def test_a_path_is_allowed_by_every_reading_or_not_at_all():
    gatekeeper = Gatekeeper(walled(FirewallRule("allow", paths=("/open/*",)), FirewallRule("deny")))
    paths = ("/open/x", "/open%2Fx", "/open/x;v=1", "/open;v=1/x", "/open%5Cx")
    assert await statuses(gatekeeper, *(request(ONE, each) for each in paths)) == [200, 200, 200, 403, 403]


async def test_the_first_rule_that_fits_decides_and_no_rule_means_allowed():
    rules = (
        FirewallRule("allow", addresses=(ONE,), paths=("/admin/*",)),
        FirewallRule("deny", name="no-admin", paths=("/admin/*",), status=404),
    )
    gatekeeper = Gatekeeper(walled(*rules))
    asked = [request(ONE, "/admin/x"), request(OTHER, "/admin/x"), request(OTHER, "/x")]
    assert await statuses(gatekeeper, *asked) == [200, 404, 200]
    only = Gatekeeper(walled(FirewallRule("allow", addresses=(ONE,)), FirewallRule("deny")))
    assert await statuses(only, request(ONE), request(OTHER)) == [200, 403]


async def test_a_dry_rule_counts_and_the_next_one_is_asked():
    rules = (FirewallRule("deny", name="new", dry_run=True), FirewallRule("deny", paths=("/x",)))
    gatekeeper = Gatekeeper(walled(*rules))
    assert await statuses(gatekeeper, request(), request(path="/y")) == [403, 200]
    assert gatekeeper.counts["*", "dry_run:new"] == 2


async def test_a_file_of_addresses_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file, time = tmp_path / "blocked.txt", Clock()
    file.write_text(f"# seen in the log\n{ONE}\n\n198.51.100.0/24  # a hoster\n")
    gatekeeper = Gatekeeper(walled(FirewallRule("deny", addresses_file=str(file))), time)
    assert await statuses(gatekeeper, request(ONE), request(OTHER)) == [403, 200]
    for text, expected in ((OTHER, [200, 403]), ("nonsense", [200, 403]), (f"{ONE}\n{OTHER}", [403, 403])):
        file.write_text(text)
        os.utime(file, ns=(clock.time_ns() + int(time.time) * 1000, int(time.time * 1e9)))
        time.time += 2
        assert await statuses(gatekeeper, request(ONE), request(OTHER)) == expected
    assert "line 1: 'nonsense'" in caplog.text
    file.unlink()
    with pytest.raises(ConfigurationError, match="blocked.txt"):
        Gatekeeper(walled(FirewallRule("deny", addresses_file=str(file))))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("*", "", True),
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("a*a", "a", False),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxc", False),
        ("*ab*ab*", "abab", True),
        ("*ab*ab*", "aba", False),
        ("", "", True),
    ],
)
def test_what_a_pattern_fits(pattern: str, text: str, fits: bool):
    assert matches(text, pattern.split("*")) is fits


def test_no_pattern_takes_long():
    began = clock.perf_counter()
    assert not matches("a" * 60_000, ("*a" * 99 + "*b").split("*"))
    assert clock.perf_counter() - began < 1.0


def test_many_networks_are_as_quick_as_one():
    networks = Networks(f"10.{number >> 8}.{number & 255}.0/24" for number in range(50_000))
    assert "10.1.2.3" in networks
    assert "11.1.2.3" not in networks
    assert "" not in networks
    assert "2001:db8::1" not in networks


BAN = BanTable(violations=3, within="10s", lasts="1 min")


async def test_who_is_denied_too_often_is_banned_from_everything_for_a_while():
    time = Clock()
    table = walled(FirewallRule("deny", paths=("/wp/*",)), ban=BAN, trusted=("198.51.100.0/24",))
    gatekeeper = Gatekeeper(table, time)
    assert await statuses(gatekeeper, *[request(path="/wp/x")] * 3, request(), request(OTHER)) == [
        403,
        403,
        403,
        403,
        200,
    ]
    assert gatekeeper.counts["*", "ban"] == 1
    assert gatekeeper.bans is not None
    (ban,) = gatekeeper.bans.bans()
    assert (ban.address, ban.why) == (ONE, "3 violations, the last one: the firewall's rule 'rule-1' denies it")
    time.time += 61
    assert await statuses(gatekeeper, request()) == [200]
    assert not gatekeeper.bans.bans()
    assert await statuses(gatekeeper, *[request("198.51.100.7", "/wp/x")] * 9, request("198.51.100.7")) == [403] * 9 + [
        200
    ]


async def test_violations_are_counted_from_the_first_within_their_time():
    time = Clock()
    gatekeeper = Gatekeeper(walled(FirewallRule("deny", paths=("/wp/*",)), ban=BAN), time)
    for _ in range(4):
        await statuses(gatekeeper, *[request(path="/wp/x")] * 2)
        time.time += 10
    assert await statuses(gatekeeper, request()) == [200]


async def test_limits_of_ones_own_count_and_those_of_all_do_not():
    time = Clock()
    for by, expected in (("address", 403), ("everybody", 429)):
        table = GatewayTable(
            {"one": RateLimitTable("1/h", by=by)},  # type: ignore[arg-type]
            {"all": GatewayRouteTable(limits=("one",))},
            firewall=FirewallTable(ban=BAN),
        )
        assert (await statuses(Gatekeeper(table, time), *[request()] * 5))[-1] == expected


def test_what_is_answered_401_counts_unless_the_table_leaves_it_out():
    for counts, banned in (((), True), ({"counts": ("denied",)}, False)):
        ban = BanTable(violations=1, **dict(counts))
        book = BanBook(FirewallTable(ban=ban), Refusals())
        book.blame(Visit(request(), "all", violation="unauthenticated"), refused(401, "who?").media.decode())
        assert bool(book.bans()) is banned


async def test_a_ban_is_lifted_by_hand_and_outlives_a_new_table():
    time = Clock()
    table = walled(FirewallRule("deny", paths=("/wp/*",)), ban=BAN)
    first = Gatekeeper(table, time)
    await statuses(first, *[request(path="/wp/x")] * 3)
    second = Gatekeeper(table, time, before=first)
    assert await statuses(second, request()) == [403]
    assert second.bans is not None
    assert second.bans.lift(ONE)
    assert not second.bans.lift(ONE)
    assert await statuses(second, request()) == [200]
    second.bans.ban(OTHER, "by hand", 5.0)
    assert await statuses(second, request(OTHER)) == [403]


async def test_a_dry_ban_refuses_nothing():
    ban = BanTable(violations=1, dry_run=True)
    gatekeeper = Gatekeeper(walled(FirewallRule("deny", paths=("/wp/*",)), ban=ban), Clock())
    assert await statuses(gatekeeper, request(path="/wp/x"), request(), request(path="/wp/x")) == [403, 200, 403]
    assert gatekeeper.counts["*", "dry_run:ban"] == 2


def test_a_flood_of_offenders_takes_bounded_room_and_does_not_hide_the_worst(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("meristem.gateway.policy.ban_book.MOST", 1_000)
    book = BanBook(FirewallTable(ban=BanTable(violations=5)), Refusals(), Clock())

    def blame(address: str) -> None:
        book.blame(Visit(request(address), "all", violation="denied"), "it is a test")

    for _ in range(4):
        blame(ONE)
    for number in range(20_000):
        blame(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(book.violations) <= 1_000
    blame(ONE)
    assert [each.address for each in book.bans()] == [ONE]
    for number in range(5_000):
        book.ban(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "by hand")
    assert len(book.banned) <= 1_000


async def test_who_is_cut_off_is_sent_nothing():
    async with serving(walled(FirewallRule("deny", paths=("/wp/*",), status=444))) as there:
        reader, writer = await asyncio.open_connection(*there.address)
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n")
        writer.write(b"POST /wp/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nxx")
        try:
            rest = await asyncio.wait_for(reader.read(), 30)
        except ConnectionResetError:
            rest = b""
        assert b"444" not in rest
        assert b"HTTP/1.1 4" not in rest
        writer.close()
        assert there.gatekeeper.refusals.latest[-1].status == 444
        assert (await there.client.get("/x")).status_code == 200


LONG = "a" * 201
FIREWALL = """
[[gateway.firewall.rules]]
action = "deny"
addresses = ["192.0.2.0/24"]

[gateway.firewall.ban]
violations = 5
"""


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"deny"', '"drop"', "line 3: [gateway.firewall.rules[1]]: action = 'drop'; give"),
        ("192.0.2.0/24", "192.0.2.1/24", "line 4: [gateway.firewall.rules[1]]: addresses: 192.0.2.1/24 has"),
        ('action = "deny"', 'action = "deny"\nquery_above = "3"', "500 B, 64 KiB"),
        ('action = "deny"', 'action = "deny"\nheaders = [{ name = "x" }]', "say one of present, equals and"),
        ('action = "deny"', 'action = "deny"\nheaders = [{ name = "X", present = true }]', "in small letters"),
        ('action = "deny"', f'action = "deny"\nheaders = [{{ name = "x", matches = "{LONG}" }}]', "200 characters"),
        ('action = "deny"', 'action = "deny"\nmethods = ["get"]', "a method in capitals"),
        ('action = "deny"', 'action = "deny"\nstatus = 200', "status = 200; give 403, 404 or 444"),
        ("violations = 5", "violations = 0", "at least 1"),
        ("violations = 5", 'lasts = "0s"', "no time above zero"),
        ("violations = 5", "counts = []", "an empty list bans nobody"),
        ("violations = 5", 'counts = ["late"]', 'give for each of them "denied", "unauthenticated" or "limited"'),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_meant_is_refused_by_key(tmp_path: Path, before: str, after: str, why: str):
    told = why_refused(tmp_path, FIREWALL, before, after)
    assert why in told
    assert "gateway.firewall" in told


async def test_the_access_log_is_told_the_route_and_why_it_was_refused():
    told: list[Any] = []
    table = GatewayTable(
        routes={"shop": GatewayRouteTable("/shop/*")},
        firewall=FirewallTable((FirewallRule("deny", paths=("/shop/wp/*",)),)),
    )
    server = HttpServer({}, app, policy=Gatekeeper(table), on_answer=told.append)
    await server.start("tcp://127.0.0.1:0", public=True)
    async with httpx.AsyncClient(base_url=server.addresses[0].replace("tcp", "http")) as client:
        for path in ("/shop/wp/x?token=secret", "/wp/x"):
            await client.get(path)
    await server.stop()
    (refused,) = [each for each in told if each.refused]
    assert (refused.status, refused.route) == (403, "shop")
    assert refused.refused == "rule-1: the firewall's rule 'rule-1' denies it"
    assert "secret" not in str(refused)
