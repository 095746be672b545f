"""Applications as tutorials write them answer alike alone, hosted, in processes of their own and as three replicas."""

from __future__ import annotations

import json
import runpy
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import uvicorn
from flask import Flask
from werkzeug.serving import make_server

from meristem.config.project import load_object, parse
from tests.suites.served import PATIENCE, copied, served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parents[1]
JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
GREETING = {"message": "Hello, World!"}
PLACES = {
    "alone": None,
    "one process": "",
    "split": '[processes]\nedge = ["*"]\nflask = ["flask"]\nfastapi = ["fastapi"]\n',
    "three replicas": '[processes]\nedge = ["*"]\napps = { services = ["flask", "fastapi"], replicas = 3 }\n',
}
pytestmark = pytest.mark.xdist_group("quickstart-apps")  # each place is started once


class Case(NamedTuple):
    """What an application is asked, and what is known of its answer; `says` is a JSON document, or a part of a text."""

    app: str
    asked: str
    status: int
    media_type: str | None
    says: Any = None
    body: str | None = None
    sent_as: str | None = JSON


CASES = [
    Case("flask", "GET /hello", 200, JSON, GREETING),
    Case("flask", "HEAD /hello", 200, JSON),
    Case("flask", "POST /add", 200, JSON, {"result": 5}, '{"a": 2, "b": 3}'),
    Case("flask", "POST /add", 200, JSON, {"result": 4.0}, '{"a": 1.5, "b": 2.5}'),
    Case("flask", "POST /add", 200, JSON, {"result": "xy"}, '{"a": "x", "b": "y"}'),
    Case("flask", "POST /add", 500, HTML, "Internal Server Error", '{"a": 2}'),
    Case("flask", "POST /add", 500, HTML, "Internal Server Error", '{"a": 2, "b": "y"}'),
    Case("flask", "POST /add", 400, HTML, "Bad Request", '{"a": 2, '),
    Case("flask", "POST /add", 415, HTML, "Unsupported Media Type", '{"a": 2, "b": 3}', None),
    Case("flask", "POST /add", 415, HTML, "Unsupported Media Type", "a=2&b=3", "application/x-www-form-urlencoded"),
    Case("flask", "GET /add", 405, HTML, "Method Not Allowed"),
    Case("flask", "GET /nothing", 404, HTML, "Not Found"),
    Case("fastapi", "GET /hello", 200, JSON, GREETING),
    Case("fastapi", "HEAD /hello", 405, JSON),
    Case("fastapi", "POST /add", 200, JSON, {"result": 5}, '{"a": 2, "b": 3}'),
    Case("fastapi", "POST /add", 200, JSON, {"result": 5}, '{"a": "2", "b": "3"}'),
    Case("fastapi", "POST /add", 422, JSON, "int_parsing", '{"a": "x", "b": "y"}'),
    Case("fastapi", "POST /add", 422, JSON, "int_from_float", '{"a": 1.5, "b": 2}'),
    Case("fastapi", "POST /add", 422, JSON, "missing", '{"a": 2}'),
    Case("fastapi", "POST /add", 422, JSON, "json_invalid", '{"a": 2, '),
    Case("fastapi", "POST /add", 422, JSON, '"loc":["body"]', '{"a": 2, "b": 3}', None),
    Case("fastapi", "GET /add", 405, JSON, {"detail": "Method Not Allowed"}),
    Case("fastapi", "GET /nothing", 404, JSON, {"detail": "Not Found"}),
    Case("fastapi", "GET /docs", 200, HTML, "url: '/openapi.json'"),
]


class Answer(NamedTuple):
    """What a client is told."""

    status: int
    media_type: str | None
    allow: set[str]
    body: str


def ask(base: str, case: Case) -> Answer:
    """What the application at `base` answers; its mount is taken out of the text, which `/docs` names."""
    method, _, path = case.asked.partition(" ")
    headers = {} if case.body is None or case.sent_as is None else {"content-type": case.sent_as}
    got = httpx.request(method, base + path, content=case.body, headers=headers, timeout=PATIENCE, trust_env=False)
    text = got.text.replace(httpx.URL(base + "/").path, "/")
    allow = set(got.headers.get("allow", "").split(", "))
    return Answer(got.status_code, got.headers.get("content-type"), allow, text)


@contextmanager
def flask_alone() -> Iterator[str]:
    """The Flask application in the server that `flask run` and `app.run()` start."""
    server = make_server("127.0.0.1", 0, load_object(parse("flask_app.py:app", "the test", FOLDER)), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Announced(uvicorn.Server):
    """uvicorn, which tells when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serves = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.serves.set()


@contextmanager
def fastapi_alone() -> Iterator[str]:
    """The FastAPI application in uvicorn, which its tutorial runs it by."""
    app = load_object(parse("fastapi_app.py:app", "the test", FOLDER))
    server = Announced(uvicorn.Config(app, port=0, ws="none", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.serves.wait(PATIENCE)
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def alone() -> Iterator[Mapping[str, str]]:
    """Each application in its own server."""
    with flask_alone() as flask, fastapi_alone() as fastapi:
        yield {"flask": flask, "fastapi": fastapi}


@pytest.fixture(scope="module", params=PLACES)
def place(
    request: pytest.FixtureRequest, alone: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """Where the applications answer: alone, or below their mounts at the public port of `meristem run hosted.py`."""
    placement = PLACES[request.param]
    if placement is None:
        yield alone
        return
    folder = copied(FOLDER, tmp_path_factory.mktemp("hosted") / "quickstart")
    with served(folder, "hosted.py", placement or None) as run:
        yield {"flask": f"{run.address}/flask", "fastapi": f"{run.address}/fastapi", "system": run.address}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.app} {case.asked} {case.body} {case.status}")
def test_an_application_answers_as_it_does_alone(
    place: Mapping[str, str], alone: Mapping[str, str], case: Case
) -> None:
    answer = ask(place[case.app], case)

    assert (answer.status, answer.media_type) == (case.status, case.media_type)
    if isinstance(case.says, str):
        assert case.says in answer.body
    elif case.says is not None:
        assert json.loads(answer.body) == case.says
    assert answer == ask(alone[case.app], case)


def test_the_page_of_an_api_finds_its_description(place: Mapping[str, str]) -> None:
    """It names the path below the mount, from the root of the address."""
    page = httpx.get(place["fastapi"] + "/docs", timeout=PATIENCE, trust_env=False).text
    path = page.partition("url: '")[2].partition("'")[0]

    described = httpx.get(httpx.URL(place["fastapi"]).join(path), timeout=PATIENCE, trust_env=False).json()

    assert set(described["paths"]) == {"/hello", "/add"}
    assert described["components"]["schemas"]["AddRequest"]["required"] == ["a", "b"]


@pytest.mark.parametrize("place", [name for name, placement in PLACES.items() if placement is not None], indirect=True)
def test_the_service_beside_the_applications_answers_too(place: Mapping[str, str]) -> None:
    greeted = httpx.get(f"{place['system']}/api/hello/Ada", timeout=PATIENCE, trust_env=False)

    assert greeted.json() == "Hello, Ada!"


@pytest.mark.parametrize(("file", "port"), [("flask_app.py", 5000), ("fastapi_app.py", 8000)])
def test_an_application_run_by_its_file_has_the_port_of_its_tutorial(
    file: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []
    monkeypatch.setattr(Flask, "run", lambda app, port: ports.append(port))
    monkeypatch.setattr(uvicorn, "run", lambda app, port: ports.append(port))

    runpy.run_path(str(FOLDER / file), run_name="__main__")

    assert ports == [port]
