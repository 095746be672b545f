"""Virtual environments of single processes: made once, whole or not at all, with Meristem as it is installed here."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import meristem
from meristem.errors import ConfigurationError, OperationError
from meristem.supervision.environments import PLACE, PYTHON, Environments, locked
from meristem.supervision.virtual_environment import key

NOTHING = "nothing-of-the-kind @ file:///nowhere/nothing.whl\n"


class Counting:
    """Progress that tells what it was shown."""

    def __init__(self, interrupted: bool = False) -> None:
        self.shown: list[str] = []
        self._interrupted = interrupted

    def track(self, items: Iterable, description: str, total: int | None = None) -> Iterable:
        self.shown.append(description)
        for number, item in enumerate(items):
            if self._interrupted and number:
                raise KeyboardInterrupt
            yield item


def wheel(folder: Path, version: str) -> Path:
    """A distribution of one module, made by hand: no registry is asked for it."""
    path = folder / f"seedling-{version}-py3-none-any.whl"
    told = f"seedling-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("seedling.py", f"VERSION = {version!r}\n")
        made.writestr(f"{told}/METADATA", f"Metadata-Version: 2.1\nName: seedling\nVersion: {version}\n")
        made.writestr(
            f"{told}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{told}/RECORD", "")
    return path


made_once = pytest.mark.xdist_group("grown")


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> tuple[Path, Path, list[str], list[str]]:
    """An environment that two asked for at once: folder, requirements, both answers, and what was shown."""
    folder = tmp_path_factory.mktemp("grown")
    requirements = folder / "seedling.txt"
    requirements.write_text(f"./{wheel(folder, '1.0').name}\n")  # found from the file's folder, not from this one
    (folder / "queue.py").write_text("raise RuntimeError('an installer needs the other queue')")
    answers: list[str] = []
    progress = Counting()

    def ask() -> None:
        answers.append(Environments(folder, {}, progress).python(None, str(requirements)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return folder, requirements, answers, progress.shown


@made_once
def test_two_who_need_an_environment_at_once_get_one(grown):
    folder, _, answers, _ = grown

    assert len(answers) == 2
    assert len(set(answers)) == 1
    assert [each.name for each in (folder / ".meristem" / "environments").glob("*.new")] == []


@made_once
def test_it_holds_its_packages_and_meristem_and_nothing_else_of_ours(grown):
    python = grown[2][0]
    program = "import seedling, meristem; print(seedling.VERSION, meristem.__file__); import pytest"
    ended = subprocess.run([python, "-c", program], cwd="/", capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["1.0", meristem.__file__]
    assert "No module named 'pytest'" in ended.stderr


@made_once
def test_what_is_there_is_not_made_again_and_other_requirements_are_another_environment(grown):
    folder, requirements, (known, _), _ = grown
    progress = Counting(interrupted=True)
    other = folder / "other.txt"
    other.write_text(f"-r {requirements.name}\n")

    assert Environments(folder, {}, progress).python(None, str(requirements)) == known
    assert progress.shown == []
    with pytest.raises(KeyboardInterrupt):
        Environments(folder, {}, progress).python(None, str(other))
    requirements.write_text(requirements.read_text() + "# changed\n")
    with pytest.raises(KeyboardInterrupt):
        Environments(folder, {}, progress).python(None, str(requirements))
    assert len(progress.shown) == 2


@pytest.mark.parametrize(
    "line", ["-r more.txt", "-rmore.txt", "--requirement more.txt", "--requirement=more.txt", "  -c more.txt  # why"]
)
def test_a_file_that_the_requirements_name_counts_whichever_way_it_is_named(tmp_path, line):
    requirements, more = tmp_path / "x.txt", tmp_path / "more.txt"
    requirements.write_bytes(line.encode() + b"\n-r x.txt\n-r https://nowhere.test/y.txt\n# \xff: no UTF-8\n")
    more.write_text("# as it was\n-r x.txt")
    before = key("3.11", sys.executable, requirements)

    assert key("3.11", sys.executable, requirements) == before
    more.write_text("# changed\n-r x.txt")
    assert key("3.11", sys.executable, requirements) != before
    more.unlink()
    with pytest.raises(ConfigurationError, match="cannot read the requirements .*more.txt: No such file"):
        key("3.11", sys.executable, requirements)


def test_who_waits_for_another_process_is_told_so(tmp_path):
    other = os.open(tmp_path / "x.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)

    class Told(Counting):
        def track(self, items: Iterable, description: str, total: int | None = None) -> Iterable:
            os.close(other)
            return super().track(items, description, total)

    progress = Told()
    for _ in range(2):
        with locked(tmp_path / "x.lock", progress):
            pass

    assert progress.shown == ["Waiting for another process that makes x"]


def test_one_that_was_interrupted_leaves_nothing_behind(tmp_path):
    requirements = tmp_path / "x.txt"
    requirements.write_text("")
    with pytest.raises(KeyboardInterrupt):
        Environments(tmp_path, {}, Counting(interrupted=True)).python(None, str(requirements))

    assert [each for each in (tmp_path / ".meristem" / "environments").iterdir() if each.is_dir()] == []


def test_a_tool_that_fails_is_quoted_and_what_a_killed_one_left_is_not_used(tmp_path):
    requirements = tmp_path / "broken.txt"
    requirements.write_text(NOTHING)
    environments = Environments(tmp_path, {PLACE: str(tmp_path / "kept")}, Counting())
    for _ in range(2):
        with pytest.raises(OperationError) as caught:
            environments.python(None, str(requirements))
        assert f"cannot make the environment of {requirements}: " in str(caught.value)
        assert "nothing.whl" in str(caught.value)
        assert not [each for each in (tmp_path / "kept").iterdir() if each.is_dir()]
        (lock,) = (tmp_path / "kept").glob("*.lock")
        (lock.with_suffix(".new") / "bin").mkdir(parents=True)  # as one that is killed leaves it


INSTALLER = """#!/bin/sh
sh -c 'echo began >> began; exec cat held'
"""
MAKER = """
import sys
from pathlib import Path
from meristem.stop_signals import exiting
from meristem.supervision.environments import Environments
class Silent:
    def track(self, items, description, total=None):
        return items
with exiting():
    Environments(Path.cwd(), {}, Silent()).python(None, "x.txt")
"""


@pytest.fixture
def making(tmp_path, monkeypatch) -> Iterable[tuple[subprocess.Popen, int]]:
    """A process that makes an environment by an installer that waits, and the pipe that only the installer reads."""
    (tmp_path / "x.txt").write_text("")
    (tmp_path / "uv").write_text(INSTALLER)
    (tmp_path / "uv").chmod(0o755)
    os.mkfifo(tmp_path / "held")
    os.mkfifo(tmp_path / "began")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    process = subprocess.Popen([sys.executable, "-c", MAKER], cwd=tmp_path, stderr=subprocess.PIPE)
    with (tmp_path / "began").open() as began:
        began.readline()
    pipe = os.open(tmp_path / "held", os.O_WRONLY)
    yield process, pipe
    process.kill()
    process.communicate()
    os.close(pipe)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_ends_the_installer_with_all_that_it_started_and_leaves_nothing(tmp_path, making, number, code):
    process, pipe = making
    process.send_signal(number)

    assert process.wait(30) == code
    with pytest.raises(BrokenPipeError):
        while True:  # until the installer's child is gone, who alone reads it
            os.write(pipe, b"x")
    assert [each for each in (tmp_path / ".meristem" / "environments").iterdir() if each.is_dir()] == []


def test_while_a_killed_ones_installer_still_writes_nobody_else_makes_the_environment(tmp_path, making):
    process, pipe = making
    process.kill()
    process.wait(30)
    (lock,) = (tmp_path / ".meristem" / "environments").glob("*.lock")
    with lock.open("r+") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe)  # the installer reads its end
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_disk_that_refuses_is_told_with_the_folder(tmp_path):
    (tmp_path / ".meristem").write_text("")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(OperationError, match=f"cannot make .*: Not a directory; set {PLACE} to a folder with room"):
        Environments(tmp_path, {}, Counting()).python(None, str(tmp_path / "x.txt"))


def test_an_interpreter_or_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    environments = Environments(tmp_path, {}, Counting())
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    broken = tmp_path / "broken"
    shutil.copy("/bin/false", broken)
    old = tmp_path / "old"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10)\nexec(sys.argv[2])\n")
    old.chmod(0o755)

    for python, requirements, said in [
        ("python9.9", None, "there is no 'python9.9' in PATH"),
        ("./python9.9", None, "./python9.9 is no program"),
        (str(broken), None, "is no Python that works: it ended with 1"),
        ("/bin/echo", None, "/bin/echo is no Python: it does not answer as one"),
        (str(old), None, "it is Python 3.10, and Meristem needs 3.11 or newer"),
        (str(bare / "bin" / "python"), None, "has no Meristem: install it and the project there, or give"),
        (None, "none.txt", "cannot read the requirements none.txt: No such file or directory"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            environments.python(python, requirements)
        assert said in str(caught.value)


def test_a_process_that_names_nothing_has_the_interpreter_of_who_supervises(tmp_path):
    assert Environments(tmp_path, {}, Counting()).python(None, None) == sys.executable
    assert Environments(tmp_path, {PYTHON: "/opt/python"}, Counting()).python(None, None) == "/opt/python"
