"""Who has the name of a replica's gRPC socket."""

from pathlib import Path

from meristem.supervision.grpc_name import GrpcName


def listens(name: GrpcName, generation: int) -> Path:
    own = name.own(generation)
    own.write_text(str(generation))
    return own


def test_the_name_goes_from_one_generation_to_the_next_in_one_step(tmp_path: Path):
    path = tmp_path / "stock-0.grpc.sock"
    name = GrpcName(path)

    for generation in (1, 2):
        own = listens(name, generation)
        name.admit(generation)
        assert (path.read_text(), own.exists()) == (str(generation), False)
    name.dismiss(1)  # what came before ends after it
    assert path.read_text() == "2"
    name.withdraw()

    assert list(tmp_path.iterdir()) == []


def test_one_that_never_got_ready_leaves_nothing_and_takes_no_name(tmp_path: Path):
    path = tmp_path / "stock-0.grpc.sock"
    name = GrpcName(path)
    listens(name, 1)
    name.admit(1)
    listens(name, 2)

    name.dismiss(2)
    name.admit(3)  # which ended between ready and now

    assert [each.read_text() for each in tmp_path.iterdir()] == ["1"]
