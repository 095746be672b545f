"""What users write passes mypy --strict and pyright; what is wrong is an error on its line in both."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suites.type_checkers import PATIENCE, SOURCE, mypy, runs_mypy

SAMPLES = Path(__file__).with_name("samples")
EXPECTED = re.compile(r"# expect-error(?:\[(?P<checker>\w+)\])?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples as a project of a user's: nothing of this one's configuration holds there."""
    made = tmp_path_factory.mktemp("typing")
    for sample in SAMPLES.glob("*.py"):
        shutil.copy(sample, made)
    return made


def expected(checker: str) -> dict[str, set[int]]:
    """The lines of each sample that are marked as errors for a checker."""
    marked: dict[str, set[int]] = {}
    for sample in sorted(SAMPLES.glob("*.py")):
        lines = [EXPECTED.search(line) for line in sample.read_text().splitlines()]
        marked[sample.name] = {
            number for number, found in enumerate(lines, 1) if found and found["checker"] in (None, checker)
        }
    return marked


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py"))


@runs_mypy
def test_mypy_strict_reports_the_marked_lines_and_no_other(folder: Path):
    run = mypy(folder, *names(folder))
    found: dict[str, set[int]] = {name: set() for name in names(folder)}
    for name, line in re.findall(r"^([\w./]+\.py):(\d+): error:", run.stdout, re.MULTILINE):
        found[name].add(int(line))

    assert found == expected("mypy"), run.stdout + run.stderr


def has_node() -> None:
    """pyright comes whole with its package, save Node.js: it would download that, and nothing would bound it."""
    if shutil.which("node") is None:
        missing = "Node.js, on which pyright runs, is not installed (Debian: apt-get install nodejs)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


def test_pyright_reports_the_marked_lines_and_no_other(folder: Path):
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    has_node()
    venv = Path(sys.prefix)
    config = {"include": ["."], "extraPaths": [str(SOURCE)], "venvPath": str(venv.parent), "venv": venv.name}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [pyright, "-p", ".", "--outputjson"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert run.stdout, run.stderr
    found: dict[str, set[int]] = {name: set() for name in names(folder)}
    for each in json.loads(run.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            found[Path(each["file"]).name].add(each["range"]["start"]["line"] + 1)

    assert found == expected("pyright"), run.stdout
