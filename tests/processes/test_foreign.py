"""An app whose interpreter has no Meristem is watched as others are: its server beats for it."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from meristem.supervision.foreign_app import ForeignApp, ForeignReplica
from meristem.supervision.lifeline import Lifelines
from meristem.supervision.replica import ReplicaEnvironment
from meristem.supervision.restartable import RunState
from meristem.supervision.restarter import Restarter

from .conftest import PATIENCE, QUICK, Screen, arguments

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""
ASGI = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.mark.parametrize(("server", "text"), [("uvicorn", ASGI), ("waitress", WSGI)])
async def test_one_that_stands_still_is_killed_with_its_stacks_and_started_again(
    server: str, text: str, tmp_path: Path, screen: Screen
):
    if importlib.util.find_spec(server) is None:
        pytest.skip(f"{server} is not installed")
    (tmp_path / "page.py").write_text(text)
    lifelines = Lifelines({"page": frozenset()})
    around = ReplicaEnvironment(tmp_path, tmp_path, arguments, os.environ, lambda _: lifelines.of("page"))
    app = ForeignApp(sys.executable, str(tmp_path / "server"), "page:app", "/page", tmp_path, (), threads=2)
    restarter = Restarter(
        ForeignReplica("page", 0, around, app),
        msgspec.structs.replace(QUICK, hung=1.5),
        wrote=lambda label, line: screen.write(b"%b: %b\n" % (label.encode(), line)),
        say=lambda text: screen.write(text.encode()),
        changed=lambda _: screen.flush(),
    )
    await restarter.start()
    try:
        first = restarter.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await screen.shows("it gave no sign of life for")
        await screen.shows("is ready again")
        assert restarter.state is RunState.READY
        assert restarter.pid != first
    finally:
        await restarter.stop(PATIENCE)
        lifelines.close()
