"""A placement file says where each part lives; what it says wrongly, or in vain, is refused."""

import re
from typing import Protocol

import pytest
from sqlalchemy import MetaData

from meristem import ConfigurationError, Contract, Database, Service, System, safe
from meristem.config.setting_sources import File
from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.policies import Policies
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_errors import read_from
from meristem.system.placement_tables import Telemetry
from meristem.system.resource_bounds import Bounds

SERVICES, APPS = ["search", "payments", "documents"], ["web"]


class Accounts(Contract, Protocol, package="garden.accounts.v1"):
    @safe
    async def balance(self) -> int: ...


class Beds(Contract, Protocol, package="garden.beds.v1"):
    @safe
    async def count(self) -> int: ...


class AccountsService(Accounts, Service):
    async def balance(self) -> int:
        return 0


class BedsService(Beds, Service):
    async def count(self) -> int:
        return 0


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> Placement:
        file = tmp_path / "placement.toml"
        file.write_text(text)
        return Placement.read(file)

    return read


def test_without_a_file_everything_lives_in_one_process():
    (alone,) = Placement().place(SERVICES, APPS)
    assert (alone.services, alone.apps, alone.replicas) == (tuple(SERVICES), ("web",), 1)


def test_the_star_takes_what_no_other_process_names(read):
    placed = read("""
        [processes]
        edge = ["web"]
        documents = { services = ["documents"], replicas = 2 }
        rest = ["*"]
    """).place(SERVICES, APPS)
    assert [(each.name, each.services, each.apps, each.replicas) for each in placed] == [
        ("edge", (), ("web",), 1),
        ("documents", ("documents",), (), 2),
        ("rest", ("search", "payments"), (), 1),
    ]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("'512 MiB'", 512 << 20),
        ("'512M'", 512 << 20),
        ("'512MB'", 512_000_000),
        ("'1.5G'", 3 << 29),
        ("90000000", 90000000),
    ],
)
def test_what_a_process_may_take_is_part_of_the_plan(read, written: str, size: int):
    (placed,) = read(f"processes.a = {{ services = ['*'], memory = {written}, cpu = 0.5 }}").place(SERVICES, APPS)

    assert placed.bounds == Bounds(memory=size, cpu=0.5)
    assert not Placement().place(SERVICES, APPS)[0].bounds


def test_settings_of_a_process_are_stronger_than_those_of_all(read):
    placement = read("""
        [processes.main]
        services = ["*"]
        settings.search = { budget = 0.1 }
        [settings.search]
        budget = 0.3
    """)
    own, shared = placement.settings_of("main")
    assert own == File("[processes.main.settings] of the placement", {"search": {"budget": 0.1}})
    assert shared == File("[settings] of the placement", {"search": {"budget": 0.3}})


def test_a_service_may_have_its_database_elsewhere_than_the_others(read):
    placement = read("""
        [resources]
        database = "sqlite:////var/{system}/{service}.db"
        [resources.databases]
        accounts = "sqlite:////srv/{service}.db"
    """)
    garden = Blueprint(System("garden", services=[AccountsService, BedsService]), placement)
    assert garden.database_url("accounts") == "sqlite:////srv/accounts.db"
    assert garden.database_url("beds") == "sqlite:////var/garden/beds.db"


class KeepingAccounts(AccountsService, tables=MetaData()):
    def __init__(self, database: Database) -> None:
        self.database = database


class KeepingBeds(BedsService, tables=MetaData()):
    def __init__(self, database: Database) -> None:
        self.database = database


@pytest.mark.parametrize(
    "resources",
    [
        'database = "sqlite:////srv/all.db"',
        'databases = { keeping_beds = "sqlite:////srv/one.db", keeping_accounts = "sqlite:////srv/one.db" }',
        'databases = { keeping_beds = "sqlite:///one.db", keeping_accounts = "sqlite:///./x/../one.db?pool=1" }',
    ],
)
def test_two_services_never_have_one_database(read, resources):
    placement = read(f"[resources]\n{resources}")
    with pytest.raises(
        ConfigurationError, match=r"'keeping_accounts' and 'keeping_beds' one database: write \{service\}"
    ):
        Blueprint(System("garden", services=[KeepingAccounts, KeepingBeds]), placement)
    temporary = read('resources.database = "sqlite://"')
    Blueprint(System("garden", services=[KeepingAccounts, KeepingBeds]), temporary)


SHOP = "postgresql://shop_{service}@db/shop?schema={service}"


def test_services_may_have_replicas_of_their_databases_together_and_each_its_own(read):
    placement = read(f"""
        [resources]
        database = "{SHOP}"
        replicas = ["{SHOP.replace("@db", "@copy")}"]
        [resources.databases]
        keeping_beds = "postgresql://beds@other/beds"
    """)
    garden = Blueprint(System("garden", services=[KeepingAccounts, KeepingBeds]), placement)
    assert garden.has_replicas
    assert garden.replica_urls("keeping_accounts") == (
        "postgresql://shop_keeping_accounts@copy/shop?schema=keeping_accounts",
    )
    assert garden.replica_urls("keeping_beds") == ()  # its database is none that they copy

    own = read(f"""
        resources.database = "{SHOP}"
        resources.replicas = ["postgresql://{{service}}@copy/shop"]
        resources.replicas_of = {{ keeping_accounts = [], keeping_beds = ["postgresql://a/b", "postgresql://c/b"] }}
    """)
    garden = Blueprint(System("garden", services=[KeepingAccounts, KeepingBeds]), own)
    assert garden.replica_urls("keeping_accounts") == ()
    assert garden.replica_urls("keeping_beds") == ("postgresql://a/b", "postgresql://c/b")


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ('resources.replicas = ["postgresql://copy/shop"]', r"SQLite has none of: keep its data in PostgreSQL"),
        (f'resources.database = "{SHOP}"\nresources.replicas = ["sqlite:///copy.db"]', "SQLite has none of"),
        (f'resources.database = "{SHOP}"\nresources.replicas = ["{SHOP}"]', "twice, or its database itself"),
    ],
)
def test_replicas_that_can_be_none_are_refused(read, resources, said):
    with pytest.raises(ConfigurationError, match=said):
        Blueprint(System("garden", services=[KeepingAccounts]), read(resources))


def test_limits_of_a_process_are_stronger_than_those_of_all_and_those_than_the_defaults(read):
    placement = read("""
        [processes]
        edge = { services = ["web"], server = { body_bytes = 1_000_000 } }
        rest = ["*"]
        [server]
        body_bytes = 2_000_000
        idle_seconds = 20
    """)
    edge, rest = placement.limits_of("edge"), placement.limits_of("rest")
    assert (edge.body_bytes, edge.idle_seconds, edge.connections) == (1_000_000, 20.0, 10_000)
    assert (rest.body_bytes, rest.idle_seconds) == (2_000_000, 20.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('processes = { a = ["serch"], b = ["*"] }', "did you mean 'search'"),
        ('processes = { a = ["search"] }', "'payments' has no process"),
        ('processes = { a = ["search"], b = ["search", "*"] }', "placed twice"),
        ('processes = { a = ["*"], b = ["*"] }', "both a and b take the rest"),
        ('processes = { a = { services = ["*"], replicas = 0 } }', "at least 1"),
        ('processes = { a = { services = ["*"], port = 70000 } }', "between 1 and 65535"),
        (
            "settings.serch = { a = 1 }",
            r"\[settings.serch\]: there is no service or app 'serch'; did you mean",
        ),
        ("policies.web = {}", r"\[policies.web\]: there is no service 'web'"),
        ('resources.bus = "pulsar://x"', r"\[resources\]: there is no adapter for the bus 'pulsar'.*direct, kafka"),
        (
            'resources.database = "mongodb://x"',
            r"\[resources\]: there is no adapter for the database 'mongodb'.*",
        ),
        (
            'resources.database = "sqlite:///{serivce}.db"',
            r"resources.database = 'sqlite:///\{serivce\}.db': write \{service\} or \{system\} for what varies",
        ),
        (
            'resources.databases.serch = "sqlite:///x.db"',
            r"\[resources.databases.serch\]: there is no service 'serch'; did you mean 'search'",
        ),
        (
            'resources.databases.search = "sqlite:///{serivce}.db"',
            r"resources.databases.search = 'sqlite:///\{serivce\}.db': write \{service\} or \{system\} for what varies",
        ),
        (
            'resources.databases.search = "mongodb://x"',
            r"\[resources\]: there is no adapter for the database 'mongodb'.*",
        ),
        ('resources.replicas = ["mongodb://x"]', r"\[resources\]: there is no adapter for the database 'mongodb'.*"),
        (
            'resources.replicas = ["postgresql:///{serivce}"]',
            r"resources.replicas = 'postgresql:///\{serivce\}': write \{service\} or \{system\} for what varies",
        ),
        (
            "resources.replicas_of.serch = []",
            r"\[resources.replicas_of.serch\]: there is no service 'serch'; did you mean 'search'",
        ),
        ('resources.database = "sqlite:///{}.db"', r"write \{service\} or \{system\}"),
        ('resources.database = "sqlite:///{service.name}.db"', r"write \{service\} or \{system\}"),
        ('discovery.dns = "{servce}:80"', r"discovery.dns = .*: write \{service\}, \{process\} or \{system\} for what"),
        ("server.head_byte = 2048", r"\[server\]: there is no limit 'head_byte'; did you mean 'head_bytes'"),
        ("server.head_seconds = 0", r"\[server\]: head_seconds = 0: expected `float` >= 0.1"),
        ("server.idle_seconds = nan", r"\[server\]: idle_seconds = nan: expected `float`"),
        ("server.idle_seconds = inf", r"\[server\]: idle_seconds = inf: expected `float` <= 86400"),
        ("server.body_bytes = 1", r"\[server\]: body_bytes = 1: expected `int` >= 1024"),
        (
            "server.trusted_proxies = ['proxy']",
            r"\[server\]: trusted_proxies: 'proxy' does not appear.*write an address",
        ),
        ("server.trusted_proxies = '10.0.0.1'", r"\[server\]: trusted_proxies.*expected `array`, got `str`"),
        (
            'processes = { a = { services = ["*"], server = { trusted_proxies = ["10.0.0.1/8"] } } }',
            r"\[processes.a.server\]: trusted_proxies: 10.0.0.1/8 has host bits set",
        ),
        ("server.connections = 1.5", r"\[server\]: connections = 1.5: expected `int`, got `float`"),
        (
            'processes = { a = { services = ["*"], server = { connections = 0 } } }',
            r"\[processes.a.server\]: connections = 0: expected `int` >= 1",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(read, text, said):
    with pytest.raises(ConfigurationError, match=said):
        read(text).place(SERVICES, APPS)


@pytest.mark.parametrize(
    "text",
    [
        "processes = 3",
        'process = { a = ["*"] }',
        'resources = { databse = "sqlite://" }',
        "policies.search.breaker.treshold = 3",
        "policies.search.braker = {}",
        "client.reply_byte = 3000",
        "client.reply_bytes = 0",
        "telemetry.traces = 3",
        "telemetry.traces_per_second = -1",
        "telemetry.slow = nan",
        "not toml",
    ],
)
def test_a_misspelt_key_is_refused_with_the_files_name(read, text):
    with pytest.raises(ConfigurationError, match=r"placement\.toml"):
        read(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "policies.search.breaker.ratio = 1.5",
            "[policies.search.breaker]: ratio = 1.5; give more than 0, and 1 at most",
        ),
        ("policies.search.breaker.minimum = 0", "[policies.search.breaker]: minimum = 0; give at least 1"),
        (
            "policies.search.breaker.minimum = 'x'",
            "[policies.search.breaker]: minimum = 'x': expected `int`, got `str`",
        ),
        (
            "policies.search.breaker.open_for = inf",
            "[policies.search.breaker]: open_for = inf; give more than 0 seconds",
        ),
        (
            "policies.search.breaker.open_for = 40.0",
            "[policies.search.breaker]: open_for = 40.0 is above open_at_most = 30.0; give open_for <= open_at_most",
        ),
        ("policies.search.breaker.treshold = 1", "[policies.search.breaker]: object contains unknown field `treshold`"),
        ("policies.search.breaker.probs = 1", "unknown field `probs`; did you mean 'probes'?"),
        ("policies.search.budget.share = -0.1", "[policies.search.budget]: share = -0.1; give 0 to 1"),
        ("policies.search.budget.burst = nan", "[policies.search.budget]: burst = nan; give 0 or more"),
        ("policies.search.balancer.memory = 0", "[policies.search.balancer]: memory = 0; give more than 0 seconds"),
        ("policies.search.hedge.at_most = 2.0", "[policies.search.hedge]: at_most = 2.0; give 0 to 1"),
        ("policies.search.bulkhead.limit = -1", "[policies.search.bulkhead]: limit = -1; give at least 1"),
        ("policies.search.bulkhead.wait = nan", "[policies.search.bulkhead]: wait = nan; give 0 seconds or more"),
        ("policies.search.limiter.smoothing = 0", "[policies.search.limiter]: smoothing = 0; give more than 0"),
        (
            "policies.search.limiter.minimum = 5000",
            "[policies.search.limiter]: minimum = 5000 is above initial = 256; give minimum <= initial <= maximum",
        ),
        (
            "policies.search.operations.find.timeout = nan",
            "[policies.search.operations.find]: timeout = nan; give more",
        ),
        (
            "policies.search.operations.find.attempts = 0",
            "[policies.search.operations.find]: attempts = 0; give at least",
        ),
        ("server.connections = 0", "[server]: connections = 0: expected `int` >= 1"),
        ("server.head_byte = 1", "[server]: there is no limit 'head_byte'; did you mean 'head_bytes'?"),
        ("client.connect_seconds = nan", "[client]: connect_seconds = nan: expected `float` >= 0.1"),
        ("telemetry.slow = -1", "[telemetry]: slow = -1; give 0 seconds to a day"),
        ("operator.lisen = []", "[operator]: object contains unknown field `lisen`"),
        ("operator.listen = 9000", "[operator]: listen = 9000"),
        ('operator.listen = "0.0.0.0:9000"', "[operator]: listen: '0.0.0.0:9000' is no address: write unix:"),
        ('operator.listen = ["unix:/run/x", "no"]', "[operator]: listen: 'no' is no address: write unix:"),
        ("telemetry.traces_per_second = true", "[telemetry]: traces_per_second = True: expected `float`, got `bool`"),
        ("processes.a = { services = ['*'], replicas = 0 }", "[processes.a]: replicas = 0; give at least 1"),
        ("processes.a = { services = ['*'], memory = 'much' }", "[processes.a]: memory = 'much'; give a size in bytes"),
        ("processes.a = { services = ['*'], memory = 512 }", "[processes.a]: memory = 512; give at least 32 MiB"),
        ("processes.a = { services = ['*'], memory = '-1M' }", "[processes.a]: memory = '-1M'; give a size"),
        (
            "processes.a = { services = ['*'], memory = '1 MiB' }",
            "[processes.a]: memory = '1 MiB'; give at least 32 MiB",
        ),
        (
            "processes.a = { services = ['*'], cpu = 0 }",
            "cpu = 0; give a number of processors from 0.01",
        ),
        ("processes.a = { services = ['*'], cpu = 'half' }", "[processes.a]: cpu = 'half': expected `float"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_with_file_table_key_and_what_is_allowed(read, text, said):
    with pytest.raises(ConfigurationError, match=r"placement\.toml: .*" + re.escape(said)):
        read(text)


def test_a_placement_made_in_code_is_held_to_the_same():
    wrong = Placement(policies={"search": Policies(breaker=BreakerPolicy(ratio=2.0))})
    with pytest.raises(ConfigurationError, match=r"placement: \[policies\.search\.breaker\]: ratio = 2.0; give"):
        wrong.place(SERVICES, APPS)
    late = Placement(telemetry=Telemetry(slow=float("nan")))
    with pytest.raises(ConfigurationError, match=r"placement: \[telemetry\]: slow = nan; give"):
        late.place(SERVICES, APPS)


def test_what_a_system_refuses_of_a_placement_is_told_with_file_and_line(tmp_path):
    file = tmp_path / "split.toml"
    file.write_text('[processes]\nmain = ["*"]\n\n[settings.serch]\na = 1\n')
    with (
        pytest.raises(ConfigurationError, match=r"split\.toml: line 4: \[settings.serch\]: there is no service"),
        read_from(file),
    ):
        Placement.read(file).place(SERVICES, APPS)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"there is no placement file .*split\.toml"):
        Placement.read(tmp_path / "split.toml")


@pytest.mark.parametrize(
    ("written", "addresses"),
    [
        ("", None),
        ("operator.listen = []", ()),
        ('operator.listen = "tcp://0.0.0.0:9000"', ("tcp://0.0.0.0:9000",)),
        ('operator.listen = ["unix:/run/x", "tcp://:9"]', ("unix:/run/x", "tcp://:9")),
    ],
)
def test_addresses_of_operators_are_one_several_or_left_to_the_run(tmp_path, written, addresses):
    file = tmp_path / "placement.toml"
    file.write_text(written)
    assert Placement.read(file).operator.addresses == addresses
