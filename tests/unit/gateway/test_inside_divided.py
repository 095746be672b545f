"""What an app finds of the system is the same where it lives behind the edge."""

from typing import Any

import flask
import pytest
from fastapi import FastAPI, Request

from meristem import App, Identity, System, current
from tests.suites.trace_context import CASES, PARENT, TRACE, asked


def told(headers: Any) -> dict[str, Any]:
    context = current()
    return {
        "in": {name.lower(): value for name, value in headers.items() if name.lower() in ("traceparent", "tracestate")},
        "out": context.headers(),
        "user": None if context.user is None else context.user.subject,
        "remaining": context.remaining(),
    }


def pages() -> flask.Flask:
    app = flask.Flask("pages")
    app.add_url_rule("/seen", view_func=lambda: told(flask.request.headers), endpoint="seen")
    return app


def api() -> FastAPI:
    app = FastAPI()

    @app.get("/seen")
    async def seen(request: Request) -> Any:
        return told(request.headers)

    return app


async def authenticate(token: str) -> Identity | None:
    return Identity(token) if token == "ada" else None


def system() -> System:
    apps = [App("pages", pages(), mount="/flask"), App("api", api(), mount="/fast", timeout=20)]
    return System("divided", apps=apps, authenticate=authenticate)


@pytest.mark.parametrize("way", ["/flask/seen", "/fast/seen"])
async def test_a_trace_goes_on_behind_the_edge_in_every_case_of_the_recommendation(divided, way):
    wrong = []
    async with divided(system=system()) as placed:
        for name, case in CASES.items():
            found = await asked(placed.port, way, *case.lines)
            out = found["out"]
            sound = found["in"] == {key: out[key] for key in ("traceparent", "tracestate") if key in out}
            state = out.get("tracestate", "")
            goes_on = out["traceparent"].split("-")[1] == TRACE
            if not sound or goes_on != case.goes_on or state != (case.state if case.goes_on else ""):
                wrong.append((name, found))
    assert not wrong


async def test_user_and_deadline_reach_an_app_behind_the_edge(divided):
    async with divided(system=system()) as placed:
        signed = await asked(placed.port, "/flask/seen", ("authorization", "Bearer ada"), PARENT)
        other = await asked(placed.port, "/flask/seen", ("authorization", "Bearer eve"))
        late = await asked(placed.port, "/flask/seen", ("connect-timeout-ms", "5000"))
        limited = await asked(placed.port, "/fast/seen")

    assert (signed["user"], other["user"]) == ("ada", None)
    assert signed["remaining"] is None
    assert 0 < late["remaining"] <= 5
    assert 5 < limited["remaining"] <= 20
