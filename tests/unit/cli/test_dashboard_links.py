"""The command prints the links by which browsers sign in: of a system that runs here, or elsewhere by its secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from meristem.cli.main import meristem
from meristem.operators.sign_in import token_of
from meristem.system.state_directory import SECRET, StateDirectory
from meristem.system.system_status import SystemStatus

ELSEWHERE = "https://ops.example.org"
GIVEN = "0123456789abcdef" * 4


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDirectory:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SECRET, raising=False)
    made = StateDirectory(tmp_path, "shop")
    made.prepare()
    return made


def printed(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(meristem, ["dashboard", *arguments], env=environment, standalone_mode=False)
    if result.exception is not None:
        return str(result.exception)
    return result.output.strip()


def test_of_a_system_that_runs_here_for_either_role(state: StateDirectory) -> None:
    secret = state.secret({})
    state.claim()
    try:
        state.announce(SystemStatus(os.getpid(), "", 0.0, operators=("unix:/o.sock", "http://127.0.0.1:8001")))
        links = [printed(), printed("--viewer"), printed("--name", "shop")]
        state.announce(SystemStatus(os.getpid(), "", 0.0, operators=("unix:/o.sock",)))
        unseen = printed()
    finally:
        state.release()
    tokens = {role: token_of(role, secret) for role in ("operator", "viewer")}
    assert links == [f"http://127.0.0.1:8001/?token={tokens[each]}" for each in ("operator", "viewer", "operator")]
    assert "no browser reaches the dashboard of shop, at unix:/o.sock alone" in unseen
    assert "nothing runs from here" in printed()


def test_of_one_that_runs_elsewhere_with_the_same_secret(state: StateDirectory) -> None:
    secret = state.secret({})
    expected = f"{ELSEWHERE}/?token={token_of('viewer', secret)}"
    assert printed("--viewer", "--address", f"{ELSEWHERE}/") == expected
    assert printed("--address", ELSEWHERE, **{SECRET: GIVEN}) == f"{ELSEWHERE}/?token={token_of('operator', GIVEN)}"
    state.secret_file.unlink()
    assert "which secret has the system at" in printed("--address", ELSEWHERE)
    assert "write it as a browser does" in printed("--address", "ops.example.org")
