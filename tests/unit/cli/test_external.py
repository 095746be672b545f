"""A system calls one of another team's as it calls its own services, and tells it nothing of its own."""

import asyncio
import importlib.util
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import trustme

from meristem import CallError, Code, ConfigurationError, Identity, System, Travelling, WiringError, connect, using
from meristem.cli.settings import settings_of
from meristem.runtime.outward import is_called_by
from meristem.supervision.ports import free_port
from meristem.system.blueprint import Blueprint
from meristem.system.external_access import addresses_outside
from meristem.system.placement import Placement
from meristem.testing import running

PAYMENTS = """
from typing import Protocol
from meristem import Code, Contract, Fault, Message, once, safe

class Declined(Fault, code=Code.FAILED_PRECONDITION):
    reason: str

class Paid(Message):
    amount: int
    by: str | None
    seconds: float

class Payments(Contract, Protocol, package="bank.payments.v1"):
    @once(http="POST /charges", authenticated=True, raises=[Declined], timeout=30.0)
    async def charge(self, amount: int) -> Paid: ...
    @safe(http="GET /rate", timeout=30.0)
    async def rate(self) -> str: ...
"""
BANK = """
from meristem import Identity, Service, System, current
from payments import Declined, Paid, Payments

class PaymentsService(Payments, Service):
    async def charge(self, amount: int) -> Paid:
        if amount > 100:
            raise Declined(reason="too much")
        here = current()
        return Paid(amount=amount, by=here.user and here.user.subject, seconds=here.remaining() or 0.0)
    async def rate(self) -> str:
        return "1.08"

async def authenticate(token):
    return Identity("shop-inc") if token == "of-the-bank" else None

system = System("bank", services=[PaymentsService], authenticate=authenticate)
"""
SHOP = """
from typing import Protocol
from meristem import Contract, Service, System, safe
from payments import Declined, Paid, Payments

class Orders(Contract, Protocol, package="shop.orders.v1"):
    @safe(http="GET /orders/{amount}", raises=[Declined], timeout=10.0)
    async def order(self, amount: int) -> Paid: ...

class OrdersService(Orders, Service):
    def __init__(self, payments: Payments) -> None:
        self.payments = payments
    async def order(self, amount: int) -> Paid:
        return await self.payments.charge(amount)

class Stock(Contract, Protocol, package="shop.stock.v1"):
    @safe(http="GET /stock")
    async def left(self) -> int: ...

class StockService(Stock, Service):
    async def left(self) -> int:
        return 7

system = System("shop", services=[OrdersService, StockService], external={Payments: None})
"""
SPLIT = """
[processes]
orders = ["orders"]
rest = ["*"]

[external]
payments = "{bank}"
"""
tenant = Travelling[str]("tenant", public=True)


class Neighbours:
    """The modules of the two systems, as the test has them."""

    def __init__(self, project: Path) -> None:
        for name, text in (("payments", PAYMENTS), ("bank", BANK), ("till", SHOP)):
            (project / f"{name}.py").write_text(text)
        self.payments = self._module(project, "payments")
        self.shop = self._module(project, "till")

    @staticmethod
    def _module(project: Path, name: str) -> Any:
        found = importlib.util.spec_from_file_location(name, project / f"{name}.py")
        assert found is not None
        assert found.loader is not None
        module: ModuleType = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)
        return module


@pytest.fixture
def both(project: Path) -> Any:
    yield Neighbours(project)
    for name in ("payments", "till"):
        sys.modules.pop(name, None)


@pytest.fixture
async def bank(start: Any, both: Neighbours) -> str:
    ran = await start("run", "bank.py", "--port", "0")
    return (await ran.shows("bank runs at ")).split()[0]


@pytest.fixture
async def listener(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A server that keeps the heads of what it is sent, and answers what it is told to."""

    class Listener:
        heads: list[str] = []
        answers: list[bytes] = []
        address = ""

    kept = Listener()
    kept.heads, kept.answers = [], []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                kept.heads.append(head.decode())
                length = next(
                    int(line[15:]) for line in kept.heads[-1].splitlines() if line.startswith("content-length:")
                )
                await reader.readexactly(length)
                if not kept.answers:
                    await reader.read()  # until the caller leaves
                    return
                writer.write(kept.answers.pop(0))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    tls: ssl.SSLContext | None = getattr(request, "param", None)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    kept.address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield kept
    server.close()


def json_answer(status: str, body: object) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status.encode(), len(text), text,
    )  # fmt: skip


def access(address: str, token: str = "of-the-bank") -> Any:
    return {"payments": {"url": address, "token": token}}


@pytest.mark.parametrize("where", ["local", "wire", "processes"])
async def test_two_systems_run_and_one_calls_the_other_with_a_token_that_was_given_to_it(
    both, bank, where, project, monkeypatch
):
    monkeypatch.syspath_prepend(project)
    async with running(both.shop.system, where=where, settings=access(bank)) as app:
        paid = await app.client(both.shop.Orders).order(7)
        with pytest.raises(both.payments.Declined) as caught:
            await app.client(both.shop.Orders).order(700)

    assert (paid.amount, paid.by) == (7, "shop-inc")
    assert 0 < paid.seconds <= 10.0  # what its caller had left, not the 30 s of the operation
    assert caught.value.reason == "too much"


async def test_by_grpc_it_is_called_as_by_connect(both, start, project):
    port = free_port()
    (project / "grpc.toml").write_text(f'[processes]\nrest = ["*"]\n[server]\ngrpc = {port}\n')
    ran = await start("run", "bank.py", "--placement", "grpc.toml", "--port", "0")
    await ran.shows("bank runs at ")

    async with running(both.shop.system, settings=access(f"grpc://127.0.0.1:{port}")) as app:
        assert (await app.client(both.shop.Orders).order(7)).by == "shop-inc"
        with pytest.raises(both.payments.Declined):
            await app.client(both.shop.Orders).order(700)


async def test_without_the_token_it_is_refused_and_callers_outside_read_nothing_of_it(both, bank):
    async with running(both.shop.system, settings=access(bank, "")) as app:
        with pytest.raises(CallError) as caught:
            await app.client(both.shop.Orders).order(7)

    assert caught.value.code is Code.UNAUTHENTICATED
    assert caught.value.private


async def test_nothing_of_the_system_goes_out_but_trace_deadline_key_and_the_token(both, listener):
    listener.answers = [json_answer("200 OK", {"amount": 7, "by": None, "seconds": 1.0})]
    async with running(both.shop.system, settings=access(listener.address)) as app:
        with using(user=Identity("ada", "Ada")), tenant.using("acme"):
            await app.client(both.shop.Orders).order(7)

    (head,) = listener.heads
    fields = {line.partition(":")[0] for line in head.splitlines()[1:] if line}
    assert fields == {
        "host", "user-agent", "content-type", "content-length", "connect-protocol-version",
        "authorization", "traceparent", "connect-timeout-ms", "idempotency-key",
    }  # fmt: skip
    assert "authorization: Bearer of-the-bank" in head
    assert "ada" not in head.lower()
    assert "acme" not in head


CA = trustme.CA()


def asking_for_a_certificate() -> ssl.SSLContext:
    """A server's end of TLS that lets in whom the authority knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(context)
    CA.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("listener", [asking_for_a_certificate()], indirect=True, ids=["tls"])
async def test_by_tls_both_prove_who_they_are_by_files(both, listener, tmp_path):
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    CA.issue_cert("shop").private_key_and_cert_chain_pem.write_to_path(tmp_path / "shop.pem")
    listener.answers = [json_answer("200 OK", {"amount": 7, "by": "shop", "seconds": 1.0})]
    files = {"ca": str(tmp_path / "ca.pem"), "certificate": str(tmp_path / "shop.pem")}
    given = access(listener.address)

    async with running(both.shop.system, settings={"payments": given["payments"] | files}) as app:
        assert (await app.client(both.shop.Orders).order(7)).by == "shop"
    async with running(both.shop.system, settings=given) as app:
        with pytest.raises(CallError, match="its certificate does not hold"):
            await app.client(both.shop.Orders).order(7)
    with pytest.raises(ConfigurationError, match="the files of TLS to payments"):
        async with running(both.shop.system, settings={"payments": given["payments"] | {"ca": "none.pem"}}):
            pass
    assert len(listener.heads) == 1


async def test_a_call_that_failed_on_the_way_is_repeated_under_its_key(both, listener):
    busy = json_answer("503 Service Unavailable", {"code": "unavailable", "message": "full"})
    listener.answers = [busy, json_answer("200 OK", {"amount": 7, "by": None, "seconds": 1.0})]
    async with running(both.shop.system, settings=access(listener.address)) as app:
        paid = await app.client(both.shop.Orders).order(7)

    keys = [line for head in listener.heads for line in head.splitlines() if line.startswith("idempotency-key")]
    assert paid.amount == 7
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_a_placement_governs_calls_of_it_and_names_its_address(both, listener):
    terms = {
        "operations": {"charge": {"timeout": 0.2}},
        "breaker": {"minimum": 1, "open_for": 600, "open_at_most": 600},
    }
    placement = msgspec.convert(
        {"policies": {"payments": terms}, "external": {"payments": listener.address}}, Placement
    )
    async with running(both.shop.system, placement=placement) as app:
        with pytest.raises(CallError) as silent:
            await app.client(both.shop.Orders).order(7)
        with pytest.raises(CallError) as refused:
            await app.client(both.shop.Orders).order(7)

    assert silent.value.code is Code.DEADLINE_EXCEEDED
    assert refused.value.code is Code.UNAVAILABLE  # by its breaker
    assert len(listener.heads) == 1
    with pytest.raises(ConfigurationError, match="there is no external system 'bank'"):
        Blueprint(both.shop.system, Placement(external={"bank": "https://bank.example"}))


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({"PAYMENTS_URL": "http://here:1"}, "the environment variable PAYMENTS_URL"),
        ({"SHOP_PAYMENTS_URL": "", "PAYMENTS_URL": "http://here:1"}, "the environment variable PAYMENTS_URL"),
        (
            {"SHOP_PAYMENTS_URL": "http://here:1", "PAYMENTS_URL": "http://no:1"},
            "the environment variable SHOP_PAYMENTS_URL",
        ),
    ],
)
def test_its_address_is_in_a_variable_as_that_of_a_service_with_the_name_of_the_system_or_without(both, given, origin):
    written = {"payments": {"url": "http://no:1"}}
    placement = Placement(settings=written, external={"payments": "http://no:1"})
    blueprint = Blueprint(both.shop.system, placement)

    assert addresses_outside(blueprint.plan, placement, given) == {"payments": "tcp://here:1"}
    (url,) = (each for each in settings_of(blueprint, [], given)["payments"] if each.name == "url")
    assert (url.value, url.origin) == ("'http://here:1'", origin)


async def test_a_fake_stands_for_it_and_needs_no_address(both):
    class Fake:
        async def charge(self, amount: int) -> Any:
            return both.payments.Paid(amount=amount, by="nobody", seconds=0.0)

    async with running(both.shop.system, fakes={both.payments.Payments: Fake()}) as app:
        assert (await app.client(both.shop.Orders).order(3)).by == "nobody"
        assert [each.arguments for each in app.sent(both.payments.Payments.charge)] == [(3,)]


async def test_where_nothing_says_where_it_is_the_start_says_what_to_set(both):
    with pytest.raises(
        ConfigurationError, match="set SHOP_PAYMENTS_URL, or write it into the placement, \\[external\\]"
    ):
        async with running(both.shop.system):
            pass


@pytest.mark.parametrize("wrong", ["ftp://bank", "https://bank.example/api", "http://bank:99999"])
async def test_an_address_that_cannot_be_meant_is_refused_at_the_start(both, wrong):
    with pytest.raises(ConfigurationError, match="bank|'ftp'"):
        async with running(both.shop.system, settings=access(wrong)):
            pass


def test_only_the_process_that_may_call_it_reads_its_token(both):
    split = Placement(processes={"orders": ("orders",), "rest": ("*",)})
    blueprint = Blueprint(both.shop.system, split)
    (payments,) = blueprint.plan.external

    assert is_called_by(payments, blueprint, "orders")
    assert not is_called_by(payments, blueprint, "rest")


async def test_divided_it_is_called_and_shown_and_nobody_reaches_it_through_the_public_port(
    both, bank, start, project, environment, meristem
):
    (project / "split.toml").write_text(SPLIT.format(bank="http://weaker.example"))
    environment["PAYMENTS_URL"] = bank
    environment["SHOP_PAYMENTS_TOKEN"] = "of-the-bank"
    ran = await start("run", "till.py", "--placement", "split.toml", "--port", "0")
    address = (await ran.shows("shop runs at ")).split()[0]

    async with connect(address) as shop:
        assert (await shop.client(both.shop.Orders).order(7)).by == "shop-inc"
        with pytest.raises(CallError) as caught:
            await shop.client(both.payments.Payments).rate()
    rows = (await meristem("ps", "till.py", "--json")).json
    told = await meristem("settings", "till.py", "--json")

    assert caught.value.code is Code.UNIMPLEMENTED
    (row,) = [each for each in rows if each["state"] == "external"]
    assert row["name"] == "payments"
    assert row["address"] == bank.replace("http", "tcp")
    assert "of-the-bank" not in told.out
    assert "SHOP_PAYMENTS_TOKEN" in told.out


async def test_the_plan_and_the_check_know_it(both, project, meristem):
    told = (await meristem("graph", "till.py", "--json")).json
    drawn = (await meristem("graph", "till.py", "--mermaid")).out
    tree = (await meristem("graph", "till.py")).out
    (project / "pyproject.toml").write_text('[tool.meristem.check]\ncalls = { orders = [], stock = ["payments"] }\n')
    checked = await meristem("check", "till.py")

    (outside,) = told["external"]
    assert (outside["name"], outside["contract"]) == ("payments", "bank.payments.v1.Payments")
    assert [each["name"] for each in outside["operations"]] == ["charge", "rate"]
    assert "  payments[/payments/]\n" in drawn
    assert "  orders --> payments" in drawn
    assert "external payments: bank.payments.v1.Payments" in tree
    assert "calls payments, external" in tree
    assert "orders calls payments, which `calls` does not allow" in checked.out


def test_what_cannot_be_an_external_system_is_refused(both):
    class Orders(both.shop.Orders): ...

    with pytest.raises(WiringError, match="name a contract"):
        System("shop", services=[], external={Orders: None})
    with pytest.raises(WiringError, match="two parts are named 'orders'"):
        System("shop", services=[both.shop.OrdersService], external={both.shop.Orders: None})
