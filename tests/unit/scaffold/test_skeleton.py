"""What the templates become: whole files, in which nothing is left that stood for a name."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from meristem.errors import ConfigurationError
from meristem.scaffold.new_project import APPS, new_app, new_system
from meristem.scaffold.skeleton import SUFFIX, TEMPLATES, skeleton
from meristem.scaffold.written_files import write_files

NAMES = ("ab", "shop", "z" * 24)


def write_all(folder: Path, name: str) -> list[Path]:
    """Every kind of project with that name, its service with it."""
    written = [new_system(name, name, folder / "system")]
    written += [new_app(name, kind, folder / kind) for kind in APPS]
    return [each.folder / path for each in written for path in each.created]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_of_the_templates_and_what_is_written_is_as_their_linters_want_it(tmp_path, name):
    files = write_all(tmp_path, name)

    for file in files:
        text = file.read_text()
        assert not re.search(r"\{\{\w+\}\}|PACKAGE|SERVICE\b", f"{file}{text}"), file
        assert text.endswith("\n") or not text, file
        assert not text.endswith("\n\n"), file
        if file.suffix == ".toml":
            tomllib.loads(text)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([*ruff, *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_names_where_packages_come_from():
    texts = [template.read_text() for template in TEMPLATES.rglob(f"*{SUFFIX}")]

    assert texts
    assert not [text for text in texts if re.search(r"pypi|files\.pythonhosted|index-url|npmjs", text)]


def test_the_classical_skeleton_has_the_files_that_everybody_knows(tmp_path):
    written = new_app("myservice", "quart", tmp_path / "myservice")

    known = ["Makefile", "requirements.txt", "settings.yml", "setup.py"]
    package = ["__init__", "app", "tests/__init__", "tests/test_home", "views/__init__", "views/home"]
    beside = [".dockerignore", ".gitignore", "Dockerfile", "MANIFEST.in", "README.md", "docs/conf.py", "docs/index.rst"]
    assert sorted(written.created) == sorted(
        [*known, *(f"myservice/{each}.py" for each in package), *beside, "pyproject.toml", "system.py", "tox.ini"]
    )


def test_two_templates_of_one_file_and_a_name_that_is_missing_are_no_project():
    with pytest.raises(ValueError, match="two templates make"):
        skeleton("app", "app", **dict.fromkeys(["package", "PREFIX", "requires", "development", "target"], "x"),
                 **dict.fromkeys(["alone", "settings", "version", "python", "meristem"], "x"))  # fmt: skip
    with pytest.raises(KeyError):
        skeleton("app")


def test_no_file_is_overwritten_and_none_is_written_where_one_would_be(tmp_path):
    (tmp_path / "b.txt").write_text("mine")

    with pytest.raises(ConfigurationError, match=r"b\.txt in .* would be overwritten"):
        write_files(tmp_path, {"a.txt": "new", "b.txt": "new"})

    assert [each.name for each in tmp_path.iterdir()] == ["b.txt"]
    assert (tmp_path / "b.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["a file in it", "a file", "a broken link"])
def test_a_folder_with_something_in_it_is_left_alone(tmp_path, kind):
    folder = tmp_path / "shop"
    if kind == "a file in it":
        folder.mkdir()
        (folder / "README.md").write_text("mine")
    elif kind == "a file":
        folder.write_text("mine")
    else:
        folder.symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match="is not overwritten"):
        new_system("shop", "notes", folder)

    assert not (tmp_path / "nowhere").exists()


def test_an_empty_folder_is_filled(tmp_path):
    new_system("shop", "notes", tmp_path)

    assert (tmp_path / "shop" / "system.py").is_file()
