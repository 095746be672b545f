"""What holds data is for its user alone."""

import os
from pathlib import Path

import pytest

from meristem.private_files import make_file, make_folder, write_file


@pytest.fixture(autouse=True)
def generous():
    """A umask that forbids nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_and_those_above_it_are_private_and_one_that_was_there_keeps_its_mode(tmp_path: Path):
    (tmp_path / "there").mkdir(mode=0o755)

    make_folder(tmp_path / "there" / "a" / "b")
    make_folder(tmp_path / "there" / "a" / "b")

    assert [mode(tmp_path / each) for each in ("there", "there/a", "there/a/b")] == [0o755, 0o700, 0o700]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


def test_a_file_is_private_and_keeps_what_it_holds(tmp_path: Path):
    write_file(tmp_path / "kept", b"text")
    make_file(tmp_path / "kept")
    make_file(tmp_path / "made")

    assert (tmp_path / "kept").read_bytes() == b"text"
    assert [mode(tmp_path / each) for each in ("kept", "made")] == [0o600, 0o600]
