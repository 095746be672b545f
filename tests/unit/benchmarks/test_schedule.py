"""The faults of a soak follow from its seed."""

from benchmarks.soak.schedule import LASTING, OF_BUS, OF_NAMESPACES, OF_POSTGRESQL, SERVICES, Kind, kinds_for, schedule
from benchmarks.soak.site import placement
from meristem.system.placement import Placement

EVERY = kinds_for(postgresql=True, namespaces=True, bus=True)


def test_a_seed_gives_the_same_faults_again_and_another_one_others():
    assert schedule(1, 120, EVERY) == schedule(1, 120, EVERY)
    assert schedule(1, 120, EVERY) != schedule(2, 120, EVERY)


def test_every_kind_strikes():
    faults = schedule(7, len(EVERY), EVERY)

    assert {each.kind for each in faults} == set(Kind)
    for each in faults:
        shortest, longest = LASTING.get(each.kind, (0.0, 0.0))
        assert shortest <= each.seconds <= longest


def test_where_there_is_no_namespace_server_or_broker_nothing_of_it_is_struck():
    assert not OF_NAMESPACES & set(kinds_for(postgresql=True, namespaces=False, bus=True))
    assert not OF_POSTGRESQL & set(kinds_for(postgresql=False, namespaces=True, bus=True))
    assert not OF_BUS & set(kinds_for(postgresql=True, namespaces=True, bus=False))


def test_a_soak_without_faults_is_possible():
    assert schedule(1, 0, EVERY) == []


def test_each_service_has_two_replicas(tmp_path):
    file = tmp_path / "soak.toml"
    database = "postgresql://{service}@127.0.0.1:1/hotels?schema={service}"
    file.write_text(placement(database, tmp_path / "python", "nats://127.0.0.1:2"))

    placed = Placement.read(file)

    assert {name: each.replicas for name, each in placed.processes.items()} == dict.fromkeys(("edge", *SERVICES), 2)
    assert placed.resources.bus == "nats://127.0.0.1:2"
