"""A request doesn't wander: what the measuring program counts, and the bars that the walks keep."""

import json

from benchmarks.processes import ROOT, output_of, python
from benchmarks.walks import Recording, measured


def _outer(recording: Recording) -> None:
    _inner()
    recording.cut()
    _inner()
    _inner()
    recording.cut()


def _inner() -> None:
    pass


def test_a_walk_is_what_was_entered_between_two_cuts(monkeypatch):
    monkeypatch.setattr("benchmarks.walks.HOUSE", __file__)
    recording = Recording()
    with recording.running():
        _outer(recording)
    walk = recording.walk()
    assert [code.co_name for code in walk] == ["_inner", "_inner"]
    assert measured(walk) == (2, 1, 0)


def test_a_remote_step_of_a_saga_takes_few_calls_within_its_room():
    found = json.loads(output_of(python("benchmarks.walks", "--json"), core=None, folder=ROOT))["one remote saga step"]
    calls, files, moves = found["sagas"]
    assert calls <= 35
    assert files <= 12
    assert moves <= 30
    assert found["all"][0] <= 120
