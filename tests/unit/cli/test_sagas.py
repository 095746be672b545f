"""`meristem sagas`: what an operator finds and does, with nothing running but the command."""

import importlib.util
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from meristem import CallError, SagaParked
from meristem.testing import running

BAKERY = """
from typing import Protocol
from meristem import CallError, Code, Contract, Flow, Service, System, once, saga

class Ovens(Contract, Protocol, package="bakery.ovens.v1"):
    @once
    async def heat(self, degrees: int) -> str: ...
    @once
    async def cool(self, oven: str) -> None: ...

class Bakery(Contract, Protocol, package="bakery.v1"):
    @once(timeout=60.0)
    async def bake(self, cake: str, degrees: int) -> str: ...

class BakeryService(Bakery, Service):
    def __init__(self, ovens: Ovens) -> None:
        self.ovens = ovens
    @saga(search=["cake"])
    async def bake(self, flow: Flow, cake: str, degrees: int) -> str:
        oven = await flow.with_undo(self.ovens.heat(degrees), self.ovens.cool)
        if cake in ("coal", "stone"):
            await self.ovens.heat(999)
        return f"{cake} of {oven}"

class OvensService(Ovens, Service):
    async def heat(self, degrees: int) -> str:
        if degrees > 300:
            raise CallError(Code.FAILED_PRECONDITION, "too hot", may_have_happened=False)
        return f"oven at {degrees}"
    async def cool(self, oven: str) -> None:
        if "100" in oven:
            raise ValueError("the oven is jammed")

system = System("bakery", services=[BakeryService, OvensService])
"""


@asynccontextmanager
async def bakery_in(project: Path) -> AsyncIterator[Any]:
    """The bakery's contract, while the system runs here on the databases that the command looks into."""
    spec = importlib.util.spec_from_file_location("bakery", project / "bakery.py")
    sys.modules["bakery"] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        place = f"sqlite:///{project}/.meristem/bakery/{{service}}.db"
        async with running(module.system, database=place) as app:
            yield app.client(module.Bakery)
            await app.settled()
    finally:
        del sys.modules["bakery"]


@pytest.fixture
async def baked(project: Path) -> Path:
    """A bakery in which two cakes were baked, one was too hot, and one is parked."""
    (project / "bakery.py").write_text(BAKERY)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "bakery:system"\n')
    async with bakery_in(project) as bakery:
        for cake in ("plum", "apple"):
            await bakery.bake(cake, 200)
        with pytest.raises(CallError, match="too hot"):
            await bakery.bake("coal", 300)
        with pytest.raises(SagaParked):
            await bakery.bake("stone", 100)
    return project


async def test_sagas_are_listed_by_state_name_and_age_and_page_by_page(baked, meristem):
    every = (await meristem("sagas", "list", "--json")).json["bakery"]
    first = await meristem("sagas", "list", "--limit", "3")
    rest = (await meristem("sagas", "list", "--json", "--after", every[2]["id"][:12])).json["bakery"]
    some = await meristem("sagas", "list", "--json", "--state", "failed", "--state", "parked", "--saga", "bake")
    young = await meristem("sagas", "list", "--json", "--since", "2001-01-01", "--before", "2001-01-02")
    never = await meristem("sagas", "list", "--since", "1d", "--before", "2d")
    unknown = await meristem("sagas", "list", "--saga", "brew")
    wrong = await meristem("sagas", "list", "--since", "yesterday")

    assert [each["state"] for each in every] == ["parked", "failed", "done", "done"]
    assert f"add --after {every[2]['id']}" in first.out
    assert [each["id"] for each in rest] == [every[3]["id"]]
    assert [each["state"] for each in some.json["bakery"]] == ["parked", "failed"]
    assert young.json == {"bakery": [], "ovens": []}
    assert (never.code, "no saga can have begun between them" in " ".join(never.err.split())) == (2, True)
    assert (unknown.code, "no service has a saga 'brew'; there are bake" in " ".join(unknown.err.split())) == (2, True)
    assert (wrong.code, "write an age (30 min, 2h, 7d) or a time" in " ".join(wrong.err.split())) == (2, True)


async def test_a_parked_saga_is_shown_with_why_and_what_helps_and_goes_on_with_all_others(baked, meristem):
    [parked] = (await meristem("sagas", "list", "--json", "--state", "parked")).json["bakery"]
    shown = await meristem("sagas", "show", parked["id"][:8])
    both = await meristem("sagas", "retry", parked["id"], "--all")
    unknown = await meristem("sagas", "retry", "--all", "--saga", "brew")
    cancelled = await meristem("sagas", "cancel", parked["id"])
    retried = await meristem("sagas", "retry", "--all", "--json")
    again = await meristem("sagas", "retry", "--all")

    text = " ".join(shown.out.split())
    assert "waits: it is parked, and waits for a person, since " in text
    assert "error: the undo Ovens.cool of step 0 (Ovens.heat) fails" in text
    assert f"helps: mend what the text names, then `meristem sagas retry {parked['id']}`" in text
    assert "stone" not in shown.out
    assert (both.code, unknown.code, cancelled.code) == (2, 2, 2)
    assert "is undone already, and parked meanwhile: `meristem sagas retry` it" in " ".join(cancelled.err.split())
    assert [each["state"] for each in retried.json["bakery"]] == ["undoing"]
    assert again.out == "0 sagas will go on as soon as the services run.\n"
    lines = [json.loads(each) for each in (baked / ".meristem" / "bakery" / "actions.jsonl").read_text().splitlines()]
    began = [each for each in lines if each["event"] == "began"]
    assert {(each["operation"], each["role"], each["means"]) for each in began} == {
        ("cancel", "operator", "command"), ("retry_some", "operator", "command"),
    }  # fmt: skip
    assert any(each["arguments"] == {"service": "bakery", "saga_id": parked["id"]} for each in began)
    ended = {each["id"]: each["outcome"] for each in lines if each["event"] == "ended"}
    assert {ended[each["id"]] for each in began} == {"done", "failed"}


async def test_all_that_goes_on_is_cancelled_or_that_of_one_name(baked, meristem):
    with closing(sqlite3.connect(baked / ".meristem" / "bakery" / "bakery.db")) as database, database:
        database.execute("UPDATE meristem_saga SET resume = 'running' WHERE state = 'parked'")
    one = await meristem("sagas", "cancel", "5f0c", "--all")
    unnamed = await meristem("sagas", "cancel", "--saga", "bake")
    unknown = await meristem("sagas", "cancel", "--all", "--saga", "brew")
    cancelled = await meristem("sagas", "cancel", "--all", "--saga", "bake", "--service", "bakery", "--json")
    again = await meristem("sagas", "cancel", "--all")

    assert (one.code, unnamed.code, unknown.code) == (2, 2, 2)
    assert [(each["state"], each["cancelled"]) for each in cancelled.json["bakery"]] == [("running", True)]
    assert again.out == "0 sagas will be undone as soon as the services run.\n"


async def test_one_that_was_cancelled_before_is_told_how_far_its_undoing_is(baked, meristem):
    with closing(sqlite3.connect(baked / ".meristem" / "bakery" / "bakery.db")) as database, database:
        database.execute("UPDATE meristem_saga SET cancelled = 1 WHERE state <> 'done'")
    parked, failed, done, _ = (await meristem("sagas", "list", "--json")).json["bakery"]

    stuck, undone, ended = [await meristem("sagas", "cancel", each["id"]) for each in (parked, failed, done)]

    assert stuck.code == 2
    assert "is undone already, and parked meanwhile: `meristem sagas retry` it" in " ".join(stuck.err.split())
    assert undone.out == f"bake {failed['id']} was cancelled before, and is undone.\n"
    assert (ended.code, "it is done" in " ".join(ended.err.split())) == (2, True)


async def test_journals_are_exported_for_their_owner_alone_and_replayed_against_the_code_that_is_here(baked, meristem):
    [parked, failed, apple, plum] = [each["id"] for each in (await meristem("sagas", "list", "--json")).json["bakery"]]
    exported = await meristem("sagas", "export", apple, failed[:12], "--out", "journals")
    nowhere = await meristem("sagas", "export", apple, "--out", "bakery.py")
    [file] = (baked / "journals").glob(f"*{apple}.json")
    same = await meristem("sagas", "replay", parked, plum, "journals")
    going = await meristem("sagas", "replay", "--all", "--json")
    code = (baked / "bakery.py").read_text()
    (baked / "bakery.py").write_text(code.replace("self.ovens.heat(degrees)", "self.ovens.heat(degrees + 1)"))
    other = await meristem("sagas", "replay", "journals", plum)
    assert (nowhere.code, "cannot write bakery.py/" in nowhere.err, "Traceback" in nowhere.err) == (1, True, False)
    shown = await meristem("sagas", "replay", str(file), "--values", "--json")
    (baked / "journals" / "wrong.json").write_text("{}")
    wrong = await meristem("sagas", "replay", "journals")
    missing = await meristem("sagas", "replay", "journals/none.json")

    assert (exported.code, len(list((baked / "journals").glob("bake-*.json")))) == (0, 2)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (same.code, same.out) == (0, "4 sagas replayed: none would leave the journal.\n")
    assert [each["id"] for each in going.json] == [parked]
    assert (other.code, "3 sagas replayed: 3 would leave the journal." in other.out) == (1, True)
    text = "step 0: the code gives other arguments to call Ovens.heat than were recorded"
    assert f"bakery bake {plum}: {text}" in other.out
    assert "201" not in other.out
    assert (shown.code, shown.json[0]["divergence"]["arguments"]) == (1, '[{"degrees":201}]')
    assert (wrong.code, "wrong.json is no journal" in " ".join(wrong.err.split())) == (2, True)
    assert (missing.code, "there is no journals/none.json" in missing.err) == (2, True)


async def test_a_saga_is_begun_again_from_a_step_unless_the_code_does_not_follow_it_that_far(baked, meristem):
    [parked, failed, apple, plum] = [each["id"] for each in (await meristem("sagas", "list", "--json")).json["bakery"]]
    forked = await meristem("sagas", "fork", failed[:12], "--from", "0", "--json")
    whole = await meristem("sagas", "fork", apple, "--from", "0")
    undoing = await meristem("sagas", "fork", parked, "--from", "0")
    unknown = await meristem("sagas", "fork", plum, "--from", "4")
    code = (baked / "bakery.py").read_text()
    (baked / "bakery.py").write_text(code.replace('("coal", "stone")', '("coal", "stone", "plum")'))
    async with bakery_in(baked):
        pass
    shown = await meristem("sagas", "show", forked.json["id"])
    (baked / "bakery.py").write_text(code.replace("degrees)", "degrees + 1)").replace('"stone")', '"stone", "plum")'))
    left = await meristem("sagas", "fork", shown.out.split()[1].rstrip(":"), "--from", "1")

    assert forked.json["again"] == [{"position": "0", "name": "Ovens.heat"}, {"position": "1", "name": "Ovens.heat"}]
    assert forked.json["takes_over"] is False
    assert "begins at step 0 as soon as its service runs" in whole.out
    assert "again, under a key of its own: step 0 (Ovens.heat)" in whole.out
    whys = {"is parked while it is undone": undoing, "for --from: bake " + plum + " has no step '4'; it has 0": unknown}
    assert all(refused.code == 2 and why in " ".join(refused.err.split()) for why, refused in whys.items())
    assert f"forked from {failed}" in shown.out
    assert ": failed" in shown.out
    assert (left.code, "has undone step 0" in " ".join(left.err.split())) == (2, True)
    assert all("Invalid value for --from" in refused.err for refused in (unknown, left))
    assert "Invalid value for SAGA_ID" in undoing.err
    after = await meristem("sagas", "list", "--after", "nope")
    assert (after.code, "Invalid value for --after: no service has a saga" in after.err) == (2, True)


async def test_sagas_are_found_by_the_fields_that_they_declare(baked, meristem):
    plum = await meristem("sagas", "list", "--json", "--where", "cake=plum", "--state", "done")
    none = await meristem("sagas", "list", "--where", "cake=cherry")
    unknown = await meristem("sagas", "list", "--where", "oven=200")
    wrong = await meristem("sagas", "list", "--where", "plum")

    assert [each["state"] for each in plum.json["bakery"]] == ["done"]
    assert none.out == "No sagas.\n"
    said = " ".join(unknown.err.split())
    assert unknown.code == 2
    assert "no saga is found by 'oven': @saga(search=['oven']) declares it; there are cake of bake" in said
    assert (wrong.code, "'plum' is no FIELD=VALUE" in " ".join(wrong.err.split())) == (2, True)
