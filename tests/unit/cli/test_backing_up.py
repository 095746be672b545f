"""`meristem backup` beside a system that runs, `backup verify`, and `meristem restore` once it has ended."""

import signal
from pathlib import Path


async def test_a_backup_is_taken_while_it_runs_verified_and_restored_when_it_has_ended(start, meristem, project: Path):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    assert (await meristem("call", "orders.order", '{"item": "lamp"}', "--key", "once")).code == 0

    taken = await meristem("backup", "--to", "kept")
    again = await meristem("backup", "--to", "kept")
    as_json = await meristem("backup", "--to", "other", "--json")
    verified = await meristem("backup", "verify", "kept")
    early = await meristem("restore", "kept", "--replace")
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0
    refused = await meristem("restore", "kept")
    restored = await meristem("restore", "kept", "--replace")
    told = await meristem("restore", "kept", "--replace", "--json")
    after = await meristem("backup", "--to", "after")
    sagas = await meristem("sagas", "list")

    assert taken.code == 0, taken.err
    assert "kept is a backup of shop as of " in taken.out
    assert "2 databases, " in taken.out
    assert "writers waited for " in taken.out
    assert (again.code, "is there already: name a new folder" in again.err) == (1, True)
    assert as_json.json["databases"]["orders"]["rows"]["meristem_saga"] == 1
    assert verified.out.startswith("kept is whole: shop as of "), verified.err
    assert (early.code, "already runs from" in early.err) == (75, True)
    assert (refused.code, "--replace sets it aside" in refused.err) == (1, True)
    assert restored.out.startswith("restored shop as of "), restored.err
    assert "set aside: " in restored.out
    assert len(told.json["set_aside"]) == 2
    assert "4 files that a restore has set aside: not in it" in after.out
    assert ".before-" not in after.out
    assert "order" in sagas.out


async def test_what_is_not_told_where_to_go_is_wrong_use(meristem):
    assert (await meristem("backup")).code == 2
    for never in ("-1", "nan", "inf"):
        assert (await meristem("backup", "--to", "kept", "--patience", never)).code == 2
    assert (await meristem("restore", "nowhere")).code == 2
    unknown = await meristem("backup", "--to", "kept", "--without", "ordres")
    assert (unknown.code, "for --without: no service 'ordres' has a database" in unknown.err) == (2, True)
