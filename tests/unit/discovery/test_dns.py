"""Discovery by DNS, against a real server on the loopback interface."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from meristem.discovery.dns import DnsResolver
from meristem.discovery.resolver import changes
from meristem.errors import ConfigurationError

NAME = "search.shop.svc"


class Server(asyncio.DatagramProtocol):
    """Answers from `zone`, which maps name and type to texts of records; silent when `zone` is None."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] | None = {}
        self.ttl = 0
        self.ttls: dict[str, int] = {}  # by type, where one differs
        self.asked = asyncio.Event()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address) -> None:
        self.asked.set()
        if self.zone is None:
            return
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if (name, kind) in self.zone:
            ttl = self.ttls.get(kind, self.ttl)
            answer.answer.append(dns.rrset.from_text_list(question.name, ttl, "IN", kind, self.zone[name, kind]))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    yield made
    transport.close()


@asynccontextmanager
async def asking(server: Server, name: str, patience: float = 5.0, **options: Any) -> AsyncIterator[DnsResolver]:
    port = server.transport.get_extra_info("sockname")[1]
    names, servers = {"search": name}, ["127.0.0.1"]
    resolver = DnsResolver(names, servers=servers, port=port, patience=patience, shortest=0.01, **options)
    try:
        await resolver.start()
        yield resolver
    finally:
        await resolver.stop()


async def test_the_addresses_are_those_of_all_a_and_aaaa_records(server: Server):
    server.zone = {(NAME, "A"): ["10.0.0.2", "10.0.0.1"], (NAME, "AAAA"): ["fd00::1"]}
    async with asking(server, f"{NAME}:8000") as resolver:
        assert resolver.addresses("search") == ("tcp://10.0.0.1:8000", "tcp://10.0.0.2:8000", "tcp://[fd00::1]:8000")


async def test_a_service_that_is_called_by_grpc_has_addresses_of_that(server: Server):
    server.zone = {(NAME, "A"): ["10.0.0.1"], (NAME, "AAAA"): ["fd00::1"]}
    async with asking(server, f"{NAME}:50051", schemes={"search": "grpc"}) as resolver:
        assert resolver.addresses("search") == ("grpc://10.0.0.1:50051", "grpc://[fd00::1]:50051")


async def test_a_change_is_heard_without_a_restart(server: Server):
    server.zone = {(NAME, "A"): ["10.0.0.1"]}
    async with asking(server, f"{NAME}:80") as resolver:
        seen = changes(resolver, "search")
        first = await anext(seen)
        server.zone = {(NAME, "A"): ["10.0.0.1", "10.0.0.9"]}
        second = await asyncio.wait_for(anext(seen), 60)
        server.zone = {}
        third = await asyncio.wait_for(anext(seen), 60)
        await seen.aclose()

    assert (first, second, third) == (("tcp://10.0.0.1:80",), ("tcp://10.0.0.1:80", "tcp://10.0.0.9:80"), ())


async def test_srv_records_of_the_first_priority_give_hosts_and_ports(server: Server):
    server.zone = {
        ("_http._tcp.search.shop.svc", "SRV"): ["0 5 8001 a.shop.svc.", "0 5 8002 b.shop.svc.", "9 5 8003 c.shop.svc."],
        ("a.shop.svc", "A"): ["10.0.0.1"],
        ("b.shop.svc", "A"): ["10.0.0.2"],
        ("c.shop.svc", "A"): ["10.0.0.3"],
    }
    async with asking(server, "_http._tcp.search.shop.svc") as resolver:
        assert resolver.addresses("search") == ("tcp://10.0.0.1:8001", "tcp://10.0.0.2:8002")


async def test_an_srv_target_that_is_gone_costs_only_itself(server: Server):
    server.zone = {
        ("_http._tcp.search.shop.svc", "SRV"): ["0 5 8001 a.shop.svc.", "0 5 8002 gone.shop.svc."],
        ("a.shop.svc", "A"): ["10.0.0.1"],
    }
    async with asking(server, "_http._tcp.search.shop.svc") as resolver:
        assert resolver.addresses("search") == ("tcp://10.0.0.1:8001",)


async def test_what_was_known_stays_while_no_server_answers(server: Server, caplog):
    server.zone = {(NAME, "A"): ["10.0.0.1"]}
    async with asking(server, f"{NAME}:80", patience=0.1) as resolver:
        server.zone = None
        for _ in range(3):
            server.asked.clear()
            await asyncio.wait_for(server.asked.wait(), 60)

        assert resolver.addresses("search") == ("tcp://10.0.0.1:80",)
    assert caplog.text.count("no DNS server answers for search.shop.svc") == 1


async def test_a_record_is_believed_for_its_time_to_live(server: Server):
    server.zone, server.ttl = {(NAME, "A"): ["10.0.0.1"]}, 30
    async with asking(server, f"{NAME}:80"):
        server.asked.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.asked.wait(), 0.2)


async def test_srv_records_are_believed_for_their_own_time_to_live_though_their_hosts_last_longer(server: Server):
    server.zone = {
        ("_http._tcp.search.shop.svc", "SRV"): ["0 5 8001 a.shop.svc."],
        ("a.shop.svc", "A"): ["10.0.0.1"],
    }
    server.ttls = {"SRV": 0, "A": 3600}
    async with asking(server, "_http._tcp.search.shop.svc"):
        server.asked.clear()
        await asyncio.wait_for(server.asked.wait(), 15)  # after thirty seconds at the latest it asks in any case


async def test_nobody_there_is_no_failure_of_a_start(server: Server):
    async with asking(server, f"{NAME}:80") as resolver:
        assert resolver.knows("search")
        assert resolver.addresses("search") == ()


@pytest.mark.parametrize("name", ["search", "search:0", ":80", "search:http", "_http._tcp.search:80x"])
def test_a_name_that_cannot_be_looked_up_is_refused(name: str):
    with pytest.raises(ConfigurationError, match="is no name to look up"):
        DnsResolver({"search": name}, servers=["127.0.0.1"])
