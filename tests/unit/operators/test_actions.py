"""Whoever acts on a system is an operator, sends it from the dashboard's own page, and is written down before."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from contextlib import asynccontextmanager
from typing import Protocol

import httpx
import pytest

from meristem import Contract, operation, safe
from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.dashboard.static_pages import DashboardPages
from meristem.errors import CallError, Code, MisuseError
from meristem.operators.action_log import ActionLog
from meristem.operators.actions_contract import Actions, ActionSearch
from meristem.operators.actions_desk import ActionsDesk
from meristem.operators.actors import Actor
from meristem.operators.answering import answering
from meristem.operators.catalogue_contract import CallAnswer
from meristem.operators.event_contract import ChangedLetters
from meristem.operators.guarded_routes import GuardedRoutes, acting
from meristem.operators.health import SystemParts
from meristem.operators.observatory import Observatory
from meristem.operators.server import LIMITS, Dashboard, OperatorAddresses, OperatorServer
from meristem.operators.sign_in import OperatorSignIn
from meristem.operators.unsupervised import Unsupervised
from meristem.runtime.remote import connect
from meristem.transports.http.request import Request

SIGN_IN = OperatorSignIn("shop", "0123456789" * 4)
BLAST = "/meristem.operator.v1.Furnace/Blast"
BY_OPERATOR = {"authorization": f"Bearer {SIGN_IN.token}"}
BY_VIEWER = {"authorization": f"Bearer {SIGN_IN.viewer_token}"}


class Furnace(Contract, Protocol, package="meristem.operator.v1"):
    """A contract that nobody has guarded: it is by being served."""

    @safe
    async def heat(self) -> int: ...

    @operation
    async def blast(self, heat: int, api_token: str, note: str) -> int: ...


class FurnaceDesk:
    def __init__(self, log):
        self.heats, self._log, self.error = [], log, None

    async def heat(self):
        return sum(self.heats)

    async def blast(self, heat, api_token, note):
        self.begun = self._log.read_bytes().splitlines()[-1:]
        if self.error is not None:
            raise self.error
        self.heats.append(heat)
        return heat


class Nothing:
    """A system without parts."""

    system, pid, since, address, parts = "shop", 7, 1.0, "", SystemParts([], [])
    supervision = Unsupervised()

    def instances(self):
        return ()


class Served:
    """An operators' server with a furnace: its address, its desk and its log."""

    def __init__(self, address, desk, path):
        self.address, self.desk, self.path = address, desk, path

    def lines(self):
        return [json.loads(each) for each in self.path.read_bytes().splitlines()] if self.path.exists() else []


@asynccontextmanager
async def served(tmp_path, monkeypatch, listen="tcp://127.0.0.1:0", public=None):
    path = tmp_path / "actions.jsonl"
    desk = FurnaceDesk(path)
    known = Observatory.routes.fget
    furnace = {each.path: answering(each.under(public=True), desk) for each in operations(Furnace).values()}
    monkeypatch.setattr(Observatory, "routes", property(lambda self: {**known(self), **furnace}))
    found = Observatory(Nothing(), tmp_path / "history.db", ActionLog(path))
    server = OperatorServer(
        Nothing(), OperatorAddresses((listen,)), Dashboard(found, SIGN_IN, DashboardPages(), public)
    )
    await server.start()
    try:
        yield Served(str(server.address), desk, path)
    finally:
        await server.stop()


def blast(heat=3, note="to see"):
    return {"heat": heat, "apiToken": "hunter2", "note": note}


@asynccontextmanager
async def browser(address, token=None):
    """A browser that has signed in."""
    async with httpx.AsyncClient(base_url=address, timeout=20) as opened:
        if token is not None:
            await opened.post("/sign-in", data={"token": token})
        yield opened


async def test_what_is_done_is_written_before_it_is_done_and_after(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        answer = await client.post(BLAST, json=blast(note="see redis://me:hunter2@host"), headers=BY_OPERATOR)
        began, ended = it.lines()
        [before] = it.desk.begun
    assert (answer.status_code, answer.json()) == (200, {"result": 3})
    assert json.loads(before) == began
    assert (began["event"], began["role"], began["means"], began["address"]) == (
        "began", "operator", "bearer", "127.0.0.1",
    )  # fmt: skip
    assert (began["contract"], began["operation"]) == ("meristem.operator.v1.Furnace", "blast")
    assert began["arguments"] == {"heat": 3, "api_token": "***", "note": "see redis://me:***@host"}
    assert (ended["id"], ended["event"], ended["outcome"]) == (began["id"], "ended", "done")
    assert ended["seconds"] > 0
    assert stat.S_IMODE(it.path.stat().st_mode) == 0o600
    assert b"hunter2" not in it.path.read_bytes()


async def test_what_only_looks_is_not_written_and_viewers_may(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        answer = await client.post(BLAST.replace("Blast", "Heat"), json={}, headers=BY_VIEWER)
        session = await client.post("/meristem.operator.v1.Actions/Session", json={}, headers=BY_VIEWER)
        assert it.lines() == []
    assert answer.status_code == 200
    assert session.json() == {"role": "viewer", "means": "bearer"}


async def test_a_viewer_who_acts_is_refused_and_that_is_written(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        refused = await client.post(BLAST, json=blast(), headers=BY_VIEWER)
        unknown = await client.post(BLAST, json=blast(), headers={"authorization": "Bearer wrong"})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "sign in by the operator's token" in refused.json()["message"]
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthenticated")
    [line] = it.lines()
    assert (line["event"], line["role"], line["operation"], line["code"]) == (
        "refused", "viewer", "blast", "permission_denied",
    )  # fmt: skip
    assert it.desk.heats == []


async def test_every_operation_of_every_contract_that_changes_something_is_guarded(tmp_path):
    """Whatever contract operators are given: viewers are refused, and what operators do begins with a line."""
    found = Observatory(Nothing(), tmp_path / "history.db", ActionLog(tmp_path / "actions.jsonl"))
    routes = {
        **found.routes,
        **{each.path: answering(each, FurnaceDesk(None)) for each in operations(Furnace).values()},
    }
    changing = [each.operation for each in routes.values() if each.operation.semantics.value != "safe"]
    assert changing
    written = []

    class Written:
        def refuse(self, actor, operation, why):
            written.append(("refused", operation.path))

        async def begin(self, actor, operation, request):
            written.append(("began", operation.path))
            raise CallError(Code.UNAVAILABLE, "no room")

    viewers = GuardedRoutes(routes, LIMITS, lambda _: Actor("viewer", "bearer"), Written())
    operators = GuardedRoutes(routes, LIMITS, lambda _: Actor("operator", "bearer"), Written())
    for each in changing:
        request = posted(each.path)
        assert viewers.find(request).status == 403
        codec, _ = operators.find(request).received(request, b"{}")
        with pytest.raises(CallError, match="no room"):
            await codec.handler(asking(each))
    assert written == [(what, each.path) for each in changing for what in ("refused", "began")]


def posted(path):
    fields = [(b"content-type", b"application/json"), (b"host", b"localhost")]
    return Request("POST", path.encode(), b"", "1.1", fields, dict(fields))


def asking(operation):
    return Call(operation, None, Context())


async def test_nothing_is_done_where_it_cannot_be_written(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        it.path.mkdir()
        answer = await client.post(BLAST, json=blast(), headers=BY_OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (400, "failed_precondition")
    assert "nothing was done, for the log of actions" in answer.json()["message"]
    assert it.desk.heats == []


@pytest.mark.parametrize(
    ("error", "outcome", "code", "problem"),
    [
        (CallError(Code.NOT_FOUND, "no such furnace"), "failed", "not_found", "no such furnace"),
        (RuntimeError("bug with a secret in it"), "failed", "internal", "RuntimeError"),
    ],
)
async def test_how_it_failed_is_written(tmp_path, monkeypatch, error, outcome, code, problem):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        it.desk.error = error
        answer = await client.post(BLAST, json=blast(), headers=BY_OPERATOR)
        _, ended = it.lines()
    assert answer.json()["code"] == code
    assert (ended["outcome"], ended["code"], ended["problem"]) == (outcome, code, problem)


@pytest.mark.parametrize(
    ("reply", "ended"),
    [
        (ChangedLetters(changed={"orders": 2}), ("done", "", "")),
        (
            ChangedLetters(changed={}, silent=["post", "stock"]),
            ("partial", "unavailable", "post, stock did not answer"),
        ),
        (CallAnswer(reply="1"), ("done", "", "")),
        (CallAnswer(code="not_found", message="no token=hunter2"), ("failed", "not_found", "no token=***")),
    ],
)
async def test_what_only_the_reply_says_is_written_too(tmp_path, reply, ended):
    log = ActionLog(tmp_path / "actions.jsonl")
    act = operations(Furnace)["blast"]

    async def answer(_):
        return reply

    handler = acting(answer, Actor("operator", "socket"), log)
    assert await handler(Call(act, act.request(heat=1, api_token="", note="with password=hunter2"), Context())) is reply
    [view] = await ActionsDesk(log).actions(ActionSearch())
    log.close()

    assert (view.outcome, view.code, view.problem) == ended
    assert json.loads(view.arguments)["note"] == "with password=***"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "OWN"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "OWN"}, 200),
        ({}, 403),  # every browser tells where it comes from
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),  # another port gets the cookie, too
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "OWN"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
        ({"origin": "OWN", "host": "evil.example"}, 403),  # rebinding: the host guard
        ({"origin": "OWN", "content-type": "text/plain"}, 415),
        ({"origin": "OWN", "content-type": "application/x-www-form-urlencoded"}, 415),
        ({"origin": "OWN", "content-type": ""}, 415),
    ],
)
async def test_a_page_of_another_address_acts_in_no_session(tmp_path, monkeypatch, headers, status):
    async with served(tmp_path, monkeypatch) as it, browser(it.address, SIGN_IN.token) as client:
        given = {name: value.replace("OWN", it.address) for name, value in headers.items()}
        answer = await client.post(
            BLAST, content=json.dumps(blast()), headers={"content-type": "application/json", **given}
        )
        by_get = await client.get(BLAST, headers={"origin": it.address})
        assert it.desk.heats == ([3] if status == 200 else [])
    assert answer.status_code == status
    assert by_get.status_code == 405


async def test_a_form_of_another_site_signs_nobody_in_or_out(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address, SIGN_IN.token) as client:
        for path in ("/sign-in", "/sign-out"):
            given = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
            refused = await client.post(path, data={"token": SIGN_IN.viewer_token}, headers=given)
            assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
        left = await client.post("/sign-out", headers={"origin": "null", "sec-fetch-site": "same-origin"})
        assert (left.status_code, "signed out" in left.text) == (200, True)
        assert (await client.get("/")).status_code == 401
        assert not client.cookies


async def test_the_roles_have_tokens_and_links_of_their_own(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        for role in ("viewer", "operator"):
            await client.get(SIGN_IN.link(it.address, role))
            session = await client.post("/meristem.operator.v1.Actions/Session", json={})
            assert session.json() == {"role": role, "means": "cookie"}
    assert SIGN_IN.token != SIGN_IN.viewer_token


def test_two_systems_of_one_name_have_cookies_of_their_own():
    fields = [(b"cookie", f"{SIGN_IN._cookie}={SIGN_IN.token}".encode())]
    other = OperatorSignIn("shop", "9876543210" * 4)
    assert SIGN_IN.actor(fields).role == "operator"
    assert other.actor(fields) is None
    assert other._cookie != SIGN_IN._cookie
    both = [(b"cookie", f"{SIGN_IN._cookie}={SIGN_IN.token}; {other._cookie}={other.viewer_token}".encode())]
    assert (SIGN_IN.actor(both).role, other.actor(both).role) == ("operator", "viewer")


async def test_the_socket_is_an_operators_and_its_user_is_written(tmp_path, monkeypatch):
    listen = f"unix:{tmp_path}/operator.sock"
    async with served(tmp_path, monkeypatch, listen=listen) as it, connect(listen) as system:
        for _ in range(2):  # the second time by a head that is known
            assert await system.client(Furnace).blast(2, "hunter2", "") == 2
        assert (await system.client(Actions).session()).role == "operator"
        lines = it.lines()
    assert [(each["means"], each["user_id"]) for each in lines if each["event"] == "began"] == [
        ("socket", os.getuid())
    ] * 2


async def test_the_log_is_kept_over_restarts_and_says_what_was_never_ended(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as it, browser(it.address) as client:
        await client.post(BLAST, json=blast(), headers=BY_OPERATOR)
    before = it.path.read_bytes()
    with it.path.open("ab") as file:  # a process that was killed in the midst of one, and then of a line
        file.write(before.splitlines(keepends=True)[0].replace(b'"id":"', b'"id":"b') + b'{"id":"torn')
    async with served(tmp_path, monkeypatch) as it, connect(it.address, token=SIGN_IN.token) as system:
        it.desk.error = CallError(Code.NOT_FOUND, "no such furnace")
        with pytest.raises(CallError):
            await system.client(Furnace).blast(9, "hunter2", "")
        actions = system.client(Actions)
        failed, unknown, done = await actions.actions(ActionSearch())
        assert [each.id for each in await actions.actions(ActionSearch(outcome="failed"))] == [failed.id]
        assert [each.id for each in await actions.actions(ActionSearch(before=failed.time, most=1))] == [unknown.id]
        assert await actions.actions(ActionSearch(text="nowhere")) == []
    assert (failed.outcome, failed.code, failed.problem) == ("failed", "not_found", "no such furnace")
    assert (unknown.outcome, unknown.seconds) == ("unknown", None)
    assert (done.outcome, done.operation, done.arguments) == (
        "done", "blast", '{"heat":3,"api_token":"***","note":"to see"}',
    )  # fmt: skip
    assert it.path.read_bytes().startswith(before)


async def test_no_line_is_lost_when_a_file_is_put_aside_by_size_or_by_somebody(tmp_path):
    path = tmp_path / "actions.jsonl"
    logs = [ActionLog(path, rotated=2000), ActionLog(path, rotated=2000)]
    act, actor = operations(Furnace)["blast"], Actor("operator", "socket")

    async def write(log, number):
        for each in range(20):
            request = act.request(heat=number * 100 + each, api_token="", note="")
            await log.end(await log.begin(actor, act, request), 0.1, None)
            if each == 10:
                with_date = path.rename(tmp_path / f"actions-by-hand-{number}.jsonl") if path.exists() else None
                assert with_date is None or with_date.exists()

    await asyncio.gather(*(write(log, number) for number, log in enumerate(logs)))
    entries = list(logs[0].entries())
    heats = {json.loads(bytes(each.arguments))["heat"] for each in entries if each.event == "began"}
    assert len(heats) == 40
    assert sum(each.event == "ended" for each in entries) == 40
    assert len(list(tmp_path.glob("actions-*.jsonl"))) > 4
    for log in logs:
        log.close()


def test_an_action_is_answered_once_so_that_it_can_be_logged():
    burn = operations(Furnace)["blast"].under()
    burn.lasts = True
    with pytest.raises(MisuseError, match="answered once"):
        GuardedRoutes({burn.path: answering(burn, FurnaceDesk(None))}, LIMITS, lambda _: None, None)
