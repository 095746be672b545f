"""Where a placed system speaks gRPC: the ports that a placement names, and the sockets of services called by it."""

from pathlib import Path
from typing import Protocol

import pytest

from meristem import Contract, Service, System, safe
from meristem.errors import ConfigurationError
from meristem.system.addresses import service_addresses
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.transports.grpc.grpc_port import GrpcPort


class Stock(Contract, Protocol, package="shop.v1"):
    @safe
    async def left(self) -> int: ...


class Orders(Contract, Protocol, package="shop.v1"):
    @safe
    async def possible(self) -> bool: ...


class StockService(Stock, Service):
    async def left(self) -> int:
        return 1


class OrdersService(Orders, Service):
    def __init__(self, stock: Stock) -> None:
        self.stock = stock

    async def possible(self) -> bool:
        return bool(await self.stock.left())


SYSTEM = System("shop", services=[StockService, OrdersService])
SPLIT = 'processes.stock = { services = ["stock"], replicas = 2 }\nprocesses.rest = ["*"]\n'


def placed(tmp_path: Path, text: str) -> Placement:
    file = tmp_path / "placement.toml"
    file.write_text(text)
    return Placement.read(file)


def test_the_port_of_the_system_is_its_edges(tmp_path):
    plan = Blueprint(SYSTEM, placed(tmp_path, SPLIT + "server.grpc = 50051\n")).plan

    ports = {each.name: each.grpc for each in plan.processes}
    assert ports == {"stock": None, "rest": None, "edge": GrpcPort(listen=50051)}


def test_a_process_may_have_a_port_of_its_own(tmp_path):
    own = '[processes.own]\nservices = []\nserver.grpc = "0.0.0.0:50052"\n'
    text = f"{SPLIT}server.grpc = 50051\nserver.body_bytes = 2048\n{own}"
    placement = placed(tmp_path, text)
    plan = Blueprint(SYSTEM, placement).plan

    ports = {each.name: each.grpc and each.grpc.address("127.0.0.1") for each in plan.processes}
    assert ports == {"stock": None, "rest": None, "own": "0.0.0.0:50052", "edge": "127.0.0.1:50051"}
    assert placement.limits_of("own").body_bytes == 2048


def test_certificates_are_found_from_the_placements_folder(tmp_path):
    port = placed(tmp_path, 'server.grpc = { listen = 1, certificate = "tls/a.pem", key = "/k.pem" }\n').grpc

    assert (port.certificate, port.key) == (f"{tmp_path}/tls/a.pem", "/k.pem")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("server.grpc = 0", r"\[server.grpc\]: listen = 0.*; give one between 1 and 65535"),
        ('server.grpc = "host"', r"""\[server.grpc\]: listen = 'host' is no port: write 50051"""),
        ('server.grpc = { listen = 1, certificat = "x" }', r"\[server.grpc\]: .*certificat"),
        ('server.grpc = { listen = 1, cert = "x" }', r"\[server.grpc\]: .*cert.*; there are listen, certificate, "),
        ('server.grpc = { listen = 1, key = "x" }', r"\[server.grpc\]: certificate and key: give both or neither"),
        ('server.grpc = { listen = 1, client_ca = "x" }', r"\[server.grpc\]: client_ca: give certificate and key, too"),
        ("server.grcp = 1", "grcp"),
    ],
)
def test_a_port_that_cannot_be_meant_is_refused_by_its_table(tmp_path, written, said):
    with pytest.raises(ConfigurationError, match=said):
        placed(tmp_path, written)


def test_a_service_that_is_called_by_grpc_has_sockets_of_its_own(tmp_path):
    plan = Blueprint(SYSTEM, placed(tmp_path, SPLIT + 'policies.stock.transport = "grpc"\n')).plan

    assert service_addresses(plan, Path("/run")) == {
        "stock": ("grpc+unix:/run/stock-0.grpc.sock?kept=true", "grpc+unix:/run/stock-1.grpc.sock?kept=true"),
        "orders": ("unix:/run/rest-0.sock",),
    }
