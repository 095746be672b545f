"""A test replays exported journals against the code of a system."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from meristem import Contract, Database, Flow, Service, Settings, System, once, saga
from meristem.errors import ConfigurationError, MisuseError
from meristem.sagas.administration import SagaStore
from meristem.sagas.replay import SagaJournal
from meristem.testing import replay_sagas, running


class Kilns(Contract, Protocol, package="tests.replaying.v1"):
    @once
    async def fire(self, degrees: int) -> str: ...


class Potters(Contract, Protocol, package="tests.replaying.v1"):
    @once(timeout=60.0)
    async def throw(self, clay: str) -> str: ...


class Heat(Settings):
    degrees: int


class PottersService(Potters, Service):
    def __init__(self, kilns: Kilns, database: Database, heat: Heat) -> None:
        self.kilns = kilns
        self.database = database
        self.heat = heat

    @saga
    async def throw(self, flow: Flow, clay: str) -> str:
        fired = await Kilns.client().fire(1)
        return clay + fired + await self.kilns.fire(self.heat.degrees)


class KilnsService(Kilns, Service):
    def __init__(self) -> None:
        self.fired: list[int] = []

    async def fire(self, degrees: int) -> str:
        self.fired.append(degrees)
        return f" at {degrees}"


HOT = {"potters": {"degrees": 900}}
system = System("pottery", services=[PottersService, KilnsService])


@pytest.fixture
async def journals(tmp_path: Path) -> Path:
    async with running(system, where="local", settings=HOT) as app:
        assert await Potters.client().throw("clay") == "clay at 1 at 900"
        store = SagaStore(app.database("potters"))
        [found] = await store.list()
        row, steps = await store.journal(found.id)
    journal = SagaJournal(service="potters", saga=row, steps=list(steps))
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(journal))
    return tmp_path


async def test_a_folder_of_journals_is_replayed_and_what_leaves_one_is_told(journals):
    await replay_sagas(system, journals, settings=HOT)

    with pytest.raises(AssertionError, match=r"potters: saga throw \w+: step 1: the code gives other arguments to"):
        await replay_sagas(system, journals, settings={"potters": {"degrees": 800}})


async def test_a_replay_of_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="holds no journal"):
        await replay_sagas(system, tmp_path, settings=HOT)
    with pytest.raises(MisuseError, match="name the files or folders"):
        await replay_sagas(system)


async def test_a_journal_of_what_the_system_has_not_is_told(journals):
    alone = System("pottery", services=[KilnsService])

    with pytest.raises(AssertionError, match="the system has no service 'potters'; it has kilns"):
        await replay_sagas(alone, journals)
