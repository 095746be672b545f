"""Spans of statements name the server that answered; figures tell which replicas are read from."""

import pytest

from meristem.context import Context, Trace, using
from meristem.runtime.telemetry import ProcessTelemetry
from meristem.storage.facts import PrimaryRead, Reason, ReplicaAway, ReplicaRead
from meristem.system.placement_tables import Telemetry

READ = "SELECT 1"


class Replicas:
    """Two replicas, of which one is away."""

    def __init__(self) -> None:
        self.observers: list[object] = []

    def states(self) -> dict[str, str | None]:
        return {"db2:5432": None, "db3": "it is out of reach"}


@pytest.mark.parametrize(
    ("primary", "replica", "told"),
    [
        ("db1:5433", (), {"server.address": "db1", "server.port": 5433}),
        ("db1,db2", (), {"server.address": "db1,db2"}),
        ("db1", ("db2",), {"server.address": "db2"}),
        ("", (), {}),
    ],
)
def test_a_span_names_the_server_that_answered(primary, replica, told):
    telemetry = ProcessTelemetry({}, {}, Telemetry())
    with using(Context(trace=Trace.start(sampled=True))):
        telemetry.statement("postgresql", primary, "stock", READ, 0.1, 1, *replica)
    (span,) = telemetry.recent.spans()
    assert {name: value for name, value in span.attributes.items() if name.startswith("server.")} == told


def test_figures_tell_which_replicas_are_read_from_and_why_others_are_not():
    telemetry, replicas = ProcessTelemetry({}, {}, Telemetry()), Replicas()
    telemetry.watch_replicas("stock", replicas)
    (tell,) = replicas.observers
    for fact in (
        ReplicaRead("stock", "db2:5432"),
        PrimaryRead("stock", Reason.WRITTEN),
        ReplicaAway("stock", "db3", "it is out of reach"),
    ):
        tell(fact)
    _, body = telemetry.figures("")
    lines = body.decode().splitlines()
    for line in (
        'meristem_replica_up{server="db2:5432",service="stock"} 1',
        'meristem_replica_up{server="db3",service="stock"} 0',
        'meristem_replica_reads_total{server="db2:5432",service="stock"} 1',
        'meristem_replica_fallbacks_total{reason="written",service="stock"} 1',
        'meristem_replicas_away_total{server="db3",service="stock"} 1',
    ):
        assert any(each.removesuffix(".0") == line for each in lines), line
