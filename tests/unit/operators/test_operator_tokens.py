"""People sign in by tokens of their own, which are kept as digests and revoked one by one while the system runs."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from meristem.cli.main import meristem
from meristem.errors import MisuseError
from meristem.operators.operator_tokens import KnownAs, OperatorTokens
from meristem.operators.sign_in import OperatorSignIn
from meristem.system.state_directory import TOKENS, StateDirectory

SECRET = "0123456789" * 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / "operator_tokens.json"


def bearer(token):
    return [(b"authorization", f"Bearer {token}".encode())]


def test_a_token_is_good_at_once_and_no_longer_when_it_is_revoked(path):
    running, command = OperatorSignIn("shop", SECRET, path), OperatorTokens(path, {})
    assert running.actor(bearer("0" * 48)) is None
    ada, bob = command.add("ada", "operator"), command.add("bob", "viewer")

    known = running.actor(bearer(ada))
    assert (known.role, known.name, running.actor(bearer(bob)).role) == ("operator", "ada", "viewer")
    cookie = [(b"cookie", f"{running._cookie}={ada}".encode())]
    assert running.actor(cookie).name == "ada"
    command.revoke("ada")
    assert (running.actor(bearer(ada)), running.actor(cookie)) == (None, None)
    assert running.actor(bearer(bob)).name == "bob"


def test_those_that_are_shared_are_revoked_and_taken_again(path):
    running, command = OperatorSignIn("shop", SECRET, path), OperatorTokens(path, {})
    command.revoke("operator")
    assert running.actor(bearer(running.token)) is None
    assert running.actor(bearer(running.viewer_token)).role == "viewer"
    command.allow("operator")
    assert running.actor(bearer(running.token)).role == "operator"


def test_no_value_is_kept_and_the_file_is_for_its_user_alone(path):
    tokens = OperatorTokens(path, {})
    token = tokens.add("ada", "viewer")

    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tokens.find(token) == KnownAs("viewer", "ada")


def test_a_name_is_given_once_and_an_unknown_one_is_told(path):
    tokens = OperatorTokens(path, {})
    tokens.add("ada", "viewer")

    for taken in ("ada", "operator"):
        with pytest.raises(MisuseError, match="revoke it first"):
            tokens.add(taken, "viewer")
    with pytest.raises(MisuseError, match="there are operator, viewer, ada"):
        tokens.revoke("eve")


def test_of_many_who_change_it_at_once_nobody_loses_what_another_wrote(path):
    kept = OperatorTokens(path, {})
    for number in range(6):
        kept.add(f"old-{number}", "viewer")

    def change(number):
        OperatorTokens(path, {}).add(f"new-{number}", "viewer")
        OperatorTokens(path, {}).revoke(f"old-{number}")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(change, range(6)))

    assert sorted(each.name for each in kept.kept().tokens) == [f"new-{number}" for number in range(6)]


def test_a_file_that_can_not_be_read_lets_nobody_in(path):
    running = OperatorSignIn("shop", SECRET, path)
    path.write_text("{torn")

    assert running.actor(bearer(running.token)) is None


def test_by_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = StateDirectory(tmp_path, "shop")
    state.prepare()
    state.secret({})
    (state.path.parent / "mail").mkdir()  # an app's, beside it

    def told(*arguments):
        return CliRunner().invoke(meristem, arguments)

    token = json.loads(told("tokens", "add", "ada", "--role", "operator", "--json").stdout)["token"]
    twice = told("tokens", "add", "ada")
    listed = told("tokens", "list")
    revoked = told("tokens", "revoke", "viewer")
    unknown = told("tokens", "revoke", "eve")

    assert OperatorTokens(state.path / TOKENS, {}).find(token) == KnownAs("operator", "ada")
    assert (twice.exit_code, unknown.exit_code) == (2, 2)
    assert ("ada" in listed.output, token in listed.output) == (True, False)
    assert revoked.output.startswith("The token viewer is revoked")
    link = told("dashboard", "--viewer", "--address", "https://ops.example.org")
    assert "is revoked here" in str(link.exception)
