"""Backups of a system whose services are written to in two processes: what is restored adds up, to the cent."""

from pathlib import Path

import pytest

from .banks import Files, check_cut, entries, killed, made, more, settled, started, transferring
from .conftest import Command, told

BACKUPS = 2


@pytest.mark.timeout(300)
async def test_backups_under_load_add_up_where_they_are_restored(tmp_path: Path, ended: list[Command]):
    bank = made(tmp_path / "bank")
    run, address = await started(bank, ended, "split.toml")
    known = []
    async with run.read(), transferring(address) as acknowledged:
        for number in range(BACKUPS):
            await more(acknowledged)  # on a busy machine several backups may be made before a first transfer
            known.append(set(acknowledged))
            code, said = await told(bank, "backup", "--to", str(tmp_path / f"backup-{number}"))
            assert code == 0, said
    await killed(bank, run)

    backups = [tmp_path / f"backup-{number}" for number in range(BACKUPS)]
    assert sum(check_cut(Files(each)) for each in backups), "nothing was under way in any of them"
    for before, backup in zip(known, backups, strict=True):
        assert before <= entries(Files(backup))[0].keys(), "what was acknowledged before is missing"

    elsewhere = made(tmp_path / "elsewhere")
    code, said = await told(elsewhere, "restore", str(backups[-1]))
    assert code == 0, said
    await started(elsewhere, ended, "together.toml")
    sent, received = await settled(Files(elsewhere / ".meristem" / "bank"))
    assert sent == received
    assert sum(sent.values()) == sum(entries(Files(backups[-1]))[0].values()), "what was sent came, to the cent"
    assert len(sent) >= len(known[-1]) > len(known[0]), "nothing was transferred meanwhile"
