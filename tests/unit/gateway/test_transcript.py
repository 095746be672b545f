"""An app stays where it was when it moves: what its users see is the same in one process and in several."""

import re
from typing import Any

import fastapi
import flask
import httpx
import pytest
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from meristem import App

OF_THE_MOMENT = ("date", "server")
SESSION = re.compile("session=[^;]+")  # it is signed with the time


class AddRequest(BaseModel):
    a: int
    b: int


def classic() -> flask.Flask:
    site = flask.Flask("classic")
    site.secret_key = "not a secret"

    @site.get("/hello")
    def hello() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @site.post("/add")
    def add() -> dict[str, Any]:
        given = flask.request.get_json()
        return {"result": given["a"] + given["b"]}

    @site.get("/where")
    def where() -> list[str]:
        asked = flask.request
        return [
            asked.script_root,
            asked.path,
            asked.query_string.decode(),
            flask.url_for("hello"),
            str(asked.remote_addr),
        ]

    @site.get("/login")
    def login() -> flask.Response:
        flask.session["user"] = "Ada"
        answer = flask.make_response(flask.redirect(flask.url_for("me")))
        answer.set_cookie("theme", "dark", path="/")
        return answer

    @site.get("/me")
    def me() -> str:
        return f"{flask.session.get('user')} {flask.request.cookies.get('theme')}"

    @site.route("/empty", methods=["GET", "DELETE"])
    def empty() -> tuple[str, int]:
        return "", 204

    @site.get("/same")
    def same() -> flask.Response:
        answer = flask.make_response("the same")
        answer.set_etag("one")
        return answer.make_conditional(flask.request)

    return site


def modern() -> fastapi.FastAPI:
    api = fastapi.FastAPI()

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @api.post("/add")
    async def add(given: AddRequest) -> dict[str, int]:
        return {"result": given.a + given.b}

    @api.get("/rows")
    async def rows() -> StreamingResponse:
        return StreamingResponse((f"row {number}\n" for number in range(5000)), media_type="text/plain")

    @api.post("/upload")
    async def upload(request: fastapi.Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @api.get("/items/{name:path}")
    async def item(name: str, request: fastapi.Request) -> list[str]:
        return [name, request.url.path, request.scope["root_path"], request.scope["raw_path"].decode()]

    return api


APPS = (lambda: App("classic", classic(), mount="/flask"), lambda: App("modern", modern(), mount="/fast"))


async def transcript(browser: httpx.AsyncClient) -> list[Any]:
    """What a user's client is told: statuses, header fields and bodies."""
    told: list[Any] = []

    async def ask(method: str, path: str, **given: Any) -> None:
        answer = await browser.request(method, path, **given)
        fields = sorted(
            (name, SESSION.sub("session=…", value))
            for name, value in answer.headers.multi_items()
            if name not in OF_THE_MOMENT
        )
        base = str(browser.base_url)
        told.append((method, path, answer.status_code, fields, answer.text.replace(base, "BASE")))

    for app in ("/flask", "/fast"):
        await ask("GET", f"{app}/hello")
        await ask("HEAD", f"{app}/hello")
        await ask("OPTIONS", f"{app}/hello")
        await ask("POST", f"{app}/add", json={"a": 2, "b": 3})
        await ask("POST", f"{app}/add", json={"a": "2", "b": "3"})
        await ask("POST", f"{app}/add", content=b"{", headers={"content-type": "application/json"})
        await ask("POST", f"{app}/add", content=b"{}")
        await ask("GET", f"{app}/add")
        await ask("GET", f"{app}/nothing")
        await ask("GET", f"{app}?a=1")
    await ask("POST", "/flask/add", json={"a": 1})
    await ask("GET", "/flask/where?a=1&b=%20")
    await ask("GET", "/flask/login")
    await ask("GET", "/flask/me")
    await ask("GET", "/flask/empty")
    await ask("DELETE", "/flask/empty")
    await ask("GET", "/flask/same")
    await ask("GET", "/flask/same", headers={"if-none-match": '"one"'})
    await ask("GET", "/fast/docs")
    await ask("GET", "/fast/openapi.json")
    await ask("GET", "/fast/rows")
    await ask("POST", "/fast/upload", content=b"x" * 200_000)
    await ask("GET", "/fast/items/a%2Fb/%C3%A4?q=1")
    await ask("GET", "/elsewhere")
    return told


@pytest.mark.parametrize("replicas", [1, 3])
async def test_the_transcript_is_the_same_in_one_process_and_in_several(together, divided, replicas):
    async with together(*(make() for make in APPS)) as browser:
        joined = await transcript(browser)
    async with divided(*(make() for make in APPS), replicas=replicas) as system:
        apart = await transcript(system.browser)

    assert {each[2] for each in joined} >= {200, 204, 302, 304, 307, 400, 404, 405, 415, 422, 500}
    for one, other in zip(joined, apart, strict=True):
        assert one == other
