"""The folder of a system: its secret, who runs it, and what it tells."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meristem.errors import ConfigurationError, OperationError
from meristem.system.state_directory import StateDirectory
from meristem.system.system_status import ReplicaStatus, SystemStatus


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path, "shop")
    made.prepare()
    return made


def test_what_the_shared_secret_signs_the_folder_verifies(state: StateDirectory):
    secret = state.secret({})

    token = state.tokens({"MERISTEM_SECRET": secret}).sign("orders")
    caller = state.tokens({}).verify(token)

    assert caller is not None
    assert caller.service == "orders"


@pytest.mark.parametrize("secret", ["", "short", "a" * 64, "changeme" * 8])
def test_a_secret_of_the_environment_that_can_be_guessed_is_refused_by_its_name(state: StateDirectory, secret: str):
    for asked in (state.secret, state.tokens, state.known_tokens):
        with pytest.raises(ConfigurationError, match="^MERISTEM_SECRET (has|is made of)"):
            asked({"MERISTEM_SECRET": secret})


def test_folder_and_files_are_for_their_user_alone(tmp_path: Path):
    made = StateDirectory(tmp_path / "project", "shop")
    before = os.umask(0)
    try:
        made.prepare()
        made.claim()
        made.announce(SystemStatus(os.getpid(), "http://127.0.0.1:8000", 0.0))
        made.secret({})
    finally:
        made.release()
        os.umask(before)

    found = {str(each.relative_to(tmp_path)): each.stat().st_mode & 0o777 for each in tmp_path.rglob("*")}
    assert {name for name, mode in found.items() if mode == 0o700} == {
        "project", "project/.meristem", "project/.meristem/shop",
    }  # fmt: skip
    assert {mode for mode in found.values() if mode != 0o700} == {0o600}


def test_git_passes_by_the_folder_unless_its_owner_says_otherwise(tmp_path: Path):
    StateDirectory(tmp_path, "shop").prepare()
    written = tmp_path / ".meristem" / ".gitignore"
    assert written.read_text() == "*\n"

    written.write_text("secret\n")
    StateDirectory(tmp_path, "bank").prepare()
    assert written.read_text() == "secret\n"


def test_processes_that_start_at_once_share_one_whole_secret(tmp_path: Path):
    """Each process asks for the secrets of eighty new systems, in the same order at the same time."""
    program = (
        "import sys; from pathlib import Path; from meristem.system.state_directory import StateDirectory\n"
        "states = [StateDirectory(Path(sys.argv[1]), f'shop{number}') for number in range(80)]\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "for state in states:\n    state.prepare(); print(state.secret({}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    begun = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for each in begun:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in begun:
        assert each.stdin is not None
        each.stdin.close()
    told = []
    for each in begun:
        assert each.stdout is not None
        with each:
            told.append(each.stdout.read().split())

    assert [len(secret) for secret in told[0]] == [64] * 80
    assert told == told[:1] * 8
    kept = StateDirectory(tmp_path, "shop0").path
    assert [each.name for each in kept.iterdir()] == ["secret"]
    assert (kept / "secret").stat().st_mode & 0o777 == 0o600


def test_only_one_may_run_a_system_from_a_folder(state: StateDirectory, tmp_path: Path):
    other = StateDirectory(tmp_path, "shop")
    state.claim()
    with pytest.raises(OperationError, match=f"shop already runs .* as process {os.getpid()}; stop it first"):
        other.claim()
    state.release()
    other.claim()
    other.release()


def test_what_a_killed_run_left_behind_is_removed(state: StateDirectory):
    state.announce(SystemStatus(os.getpid(), "http://old", 0.0))
    state.claim()

    assert state.running() is None
    state.release()


def test_a_pid_that_another_program_has_by_now_is_not_taken_for_the_system(state: StateDirectory):
    """The run was killed before it could withdraw what it said; its pid lives on as somebody else's: this test's."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from meristem.system.state_directory import StateDirectory\n"
        "from meristem.system.system_status import SystemStatus\n"
        "state = StateDirectory(Path(sys.argv[1]), 'shop'); state.claim()\n"
        "state.announce(SystemStatus(int(sys.argv[2]), 'http://old', 0.0)); print('runs', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(state.path.parent.parent), str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "runs\n"
        while_it_ran = state.running()
        run.kill()

    assert while_it_ran is not None
    assert while_it_ran.address == "http://old"
    assert state.running() is None


def test_whoever_asks_whether_the_system_runs_keeps_nobody_from_running_it(state: StateDirectory, monkeypatch):
    state.claim()
    state.release()
    look = os.open(state.path / "lock", os.O_RDONLY)  # as `running()` does, stopped in the middle
    fcntl.flock(look, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda _: os.close(look))

    state.claim()
    state.release()


def test_the_announcement_tells_every_replica(state: StateDirectory):
    said = SystemStatus(
        os.getpid(), "http://127.0.0.1:1", 1.0, (ReplicaStatus("edge", 0, 7, "ready", 2, 3.0, "unix:/x"),)
    )
    state.announce(said)

    assert state.running() == said
    assert StateDirectory.at(state.path).running() == said


def test_a_file_that_cannot_be_written_is_named_with_a_remedy(state: StateDirectory):
    state.prepare()
    (state.path / "lock").mkdir()
    with pytest.raises(OperationError, match=r"cannot write .*/lock: Is a directory; make room, or run in a folder"):
        state.claim()
    (state.path / "lock").rmdir()
    state.claim()
    (state.path / "running.new").mkdir()
    with pytest.raises(OperationError, match=r"cannot write .*running.*: Is a directory; make room"):
        state.announce(SystemStatus(1, "http://localhost", 0.0))
