"""`meristem sagas signal`: an operator tells a saga what it waits for."""

import importlib.util
import sys
from pathlib import Path

import pytest

from meristem import SagaHandle, start_saga
from meristem.testing import running

OFFICE = """
from typing import Protocol
from meristem import Contract, Flow, Message, Service, System, once, saga

class Approval(Message):
    by: str

class Leave(Contract, Protocol, package="office.v1"):
    @once(timeout=60.0)
    async def ask(self, name: str) -> str: ...

class LeaveService(Leave, Service):
    @saga(signals=[Approval])
    async def ask(self, flow: Flow, name: str) -> str:
        return (await flow.wait_for_signal(Approval, timeout=None)).by

system = System("office", services=[LeaveService])
"""


@pytest.fixture
def office(project: Path, monkeypatch: pytest.MonkeyPatch):
    """The office's module, and the place of its databases."""
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "office:system"\n')
    (project / "office.py").write_text(OFFICE)
    spec = importlib.util.spec_from_file_location("the_office", project / "office.py")
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "the_office", loaded)
    spec.loader.exec_module(loaded)
    return loaded, f"sqlite:///{project}/.meristem/office/{{service}}.db"


async def test_a_saga_gets_the_signal_of_an_operator_while_its_system_stands_still(office, meristem):
    module, place = office
    async with running(module.system, database=place) as app:
        handle = await start_saga(app.client(module.Leave).ask, "Ada")
        await app.settled()
    wrong = [
        await meristem("sagas", "signal", handle.id, *words)
        for words in (("Approved", "{}"), ("Approval", '{"by": 3}'))
    ]
    sent = await meristem("sagas", "signal", handle.id[:8], "Approval", '{"by": "Bob"}')
    async with running(module.system, database=place) as app:
        answer = await SagaHandle.of(app.client(module.Leave).ask, handle.id).result()
    late = await meristem("sagas", "signal", handle.id, "Approval", '{"by": "Bob"}')

    assert sent.out == f"ask {handle.id} gets the signal Approval as soon as it waits for it.\n"
    assert answer == "Bob"
    for each, text in zip((*wrong, late), ("takes: Approval", "by: ", "is done"), strict=True):
        assert each.err.count(text) == 1  # a reader is told once
        assert (each.code, text in " ".join(each.err.split())) == (2, True)


async def test_a_signal_that_is_not_read_is_shown_and_so_is_that_a_fork_leaves_it(office, meristem):
    module, place = office
    async with running(module.system, database=place) as app:
        handle = await start_saga(app.client(module.Leave).ask, "Ada")
        await app.settled()
    await meristem("sagas", "signal", handle.id, "Approval", '{"by": "Bob"}')
    plain = await meristem("sagas", "show", handle.id)
    shown = await meristem("sagas", "show", handle.id, "--values", "--json")
    async with running(module.system, database=place) as app:
        await SagaHandle.of(app.client(module.Leave).ask, handle.id).result()
    read = await meristem("sagas", "show", handle.id)
    async with running(module.system, database=place) as app:
        kept = await start_saga(app.client(module.Leave).ask, "Cy")
        await app.settled()
    await meristem("sagas", "signal", kept.id, "Approval", '{"by": "Dan"}')
    await meristem("sagas", "cancel", kept.id)
    cancelled = await meristem("sagas", "list")
    async with running(module.system, database=place) as app:
        await app.settled()
    forked = await meristem("sagas", "fork", kept.id, "--from", "0")

    assert "signals that it has not read" in plain.out
    assert "Bob" not in plain.out
    assert "with the one that is kept" in plain.out
    [signal] = shown.json["signals"]
    assert (signal["name"], signal["body"]) == ("Approval", '{"by":"Bob"}')
    assert "has not read" not in read.out
    assert "cancelled" in cancelled.out
    assert "send it again if it is meant: the signal Approval" in forked.out
