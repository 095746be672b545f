"""A changed file is told once, however it changed, and is looked at no more often than was said."""

from __future__ import annotations

from pathlib import Path

from meristem.followed_files import FollowedFiles


def test_each_change_is_told_once(tmp_path: Path):
    file, target = tmp_path / "file", tmp_path / "target"
    files = FollowedFiles(file)
    files.settle()
    found = [files.have_changed()]
    file.write_text("a")
    found += [files.have_changed(), files.have_changed()]
    target.write_text("b")
    target.replace(file)
    found += [files.have_changed(), files.have_changed()]
    file.unlink()
    found += [files.have_changed(), files.have_changed()]
    assert found == [False, True, False, True, False, True, False]


def test_what_was_never_settled_is_new_and_a_change_waits_for_the_next_look(tmp_path: Path):
    time, file = 100.0, tmp_path / "file"
    files = FollowedFiles(file, between=1.0, now=lambda: time)
    assert files.have_changed()
    file.write_text("a")
    time = 100.9
    assert not files.have_changed()
    time = 101.0
    assert files.have_changed()
