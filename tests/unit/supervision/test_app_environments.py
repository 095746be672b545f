"""Interpreters of apps that live apart: those that have Meristem are used as they are."""

import os
import sys
from pathlib import Path

import pytest

from meristem import App, System
from meristem.errors import ConfigurationError
from meristem.runtime.options import Silent
from meristem.supervision.app_environments import AppEnvironments, AppInterpreter
from meristem.supervision.environments import Environments
from meristem.supervision.interpreters import interpreters
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.plan import ProcessPlan


def of(root: Path, python: str | None = None, requirements: str | None = None) -> AppInterpreter:
    environments = Environments(root, {}, Silent())
    process = ProcessPlan("bank", (), ("bank",), python=python, requirements=requirements)
    return AppEnvironments(environments, root).of(process)


def test_an_interpreter_that_has_meristem_needs_no_server(tmp_path: Path):
    assert of(tmp_path) == AppInterpreter(sys.executable)
    assert of(tmp_path, python=sys.executable) == AppInterpreter(sys.executable)
    beside = Path(os.path.relpath(sys.executable, tmp_path)).as_posix()
    assert of(tmp_path, python=beside) == AppInterpreter(sys.executable)


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        (App("bank", "app:app", folder="nowhere"), "app 'bank': there is no folder "),
        (
            App("bank", "app:app", python="python9.9"),
            "app 'bank': python = 'python9.9': there is no",
        ),
        (App("bank", "app:app", python="/bin/echo"), "app 'bank': /bin/echo is no Python"),
        (App("bank", "app:app", requirements="none.txt"), "none.txt: No such file or directory"),
    ],
)
def test_what_is_not_there_is_said_with_the_apps_name(tmp_path: Path, app: App, problem: str):
    plan = Blueprint(System("shop", apps=[app])).plan
    with pytest.raises(ConfigurationError) as caught:
        interpreters(plan, Placement(), tmp_path, Environments(tmp_path, {}, Silent()))

    assert problem in str(caught.value)


def test_an_app_that_is_older_than_any_server_is_refused(tmp_path: Path):
    old = tmp_path / "old"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 6)\nexec(sys.argv[2])\n")
    old.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"it is Python 3\.6, and an app needs 3\.7 or newer"):
        of(tmp_path, python=str(old))
