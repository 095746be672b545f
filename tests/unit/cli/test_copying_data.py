"""`meristem data copy`: what a stopped system keeps is at another place, from which it goes on."""

import os
import signal
from pathlib import Path

import psycopg

from meristem.system.state_directory import StateDirectory
from meristem.system.system_status import SystemStatus
from tests.suites.postgresql import DATABASE, SERVER, schema_of_its_own


async def test_a_system_goes_on_from_where_its_data_was_copied_to(start, meristem, project: Path):
    there = "sqlite:///elsewhere/{system}-{service}.db"
    (project / "moved.toml").write_text(f'[processes]\nall = ["*"]\n[resources]\ndatabase = "{there}"\n')
    nothing = await meristem("data", "copy", "--to", there)
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    assert (await meristem("call", "orders.order", '{"item": "lamp"}', "--key", "once")).code == 0
    early = await meristem("data", "copy", "--to", there)
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0

    shared = await meristem("data", "copy", "--to", "sqlite:///elsewhere/../elsewhere/all.db")
    one = await meristem("data", "copy", "--to", there, "--service", "post", "--json")
    again = await meristem("data", "copy", "--to", there)
    other = await meristem("data", "copy", "--to", there, "--service", "orders")
    moved = await meristem("sagas", "list", "--placement", "moved.toml", "--json")
    (project / ".meristem" / "shop" / "orders.db").unlink()  # by the placement of what runs it is not looked for
    state = StateDirectory(project, "shop")
    state.claim()
    state.announce(SystemStatus(os.getpid(), "", 0.0, placement=str(project / "moved.toml")))
    as_it_runs = await meristem("sagas", "list", "--json")
    state.release()
    as_nothing_runs = await meristem("sagas", "list", "--json")

    assert (nothing.code, "none of the services has a database yet" in nothing.err) == (1, True)
    assert (early.code, "already runs from" in early.err) == (75, True)
    assert (shared.code, "would have one database: write {service} in --to" in shared.err) == (1, True), shared.err
    assert not (project / "elsewhere" / "all.db").exists()
    assert list(one.json) == ["post"]
    assert (again.code, "the new database of 'post' is not empty" in again.err) == (1, True)
    assert "orders: " in other.out, other.err
    assert "rows are the same in both databases" in other.out
    assert f'[resources] is now to say: databases = {{ orders = "{there}" }}' in other.out
    assert [each["name"] for each in moved.json["orders"]] == ["order"], moved.out
    assert as_it_runs.json == moved.json
    assert as_nothing_runs.json["orders"] == []


def tables_of(schema: str) -> list[str]:
    """The tables of a schema, by name."""
    found = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
    with psycopg.connect(f"{SERVER}/{DATABASE}") as connection:
        return [name for (name,) in connection.execute(found, [schema])]


async def test_who_looks_into_a_new_database_of_a_server_leaves_it_empty_and_one_half_copied_alone(
    start, meristem, project: Path
):
    """Else a copy that broke off, or is yet to begin, would find it in use."""
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    assert (await meristem("call", "orders.order", '{"item": "lamp"}', "--key", "once")).code == 0
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0
    async with schema_of_its_own() as url:
        schema = url.partition("schema=")[2]
        (project / "moved.toml").write_text(f'[resources]\ndatabases = {{ orders = "{url}" }}\n')
        looking = [("sagas", "list"), ("sagas", "retry", "--all"), ("events", "dead"), ("events", "waiting")]
        looked = [await meristem(*each, "--placement", "moved.toml") for each in looking]
        left = tables_of(schema)
        with psycopg.connect(f"{SERVER}/{DATABASE}") as connection:
            connection.execute(f"CREATE TABLE {schema}.meristem_half_copied (service varchar(200) PRIMARY KEY)")
        half = await meristem("sagas", "list", "--placement", "moved.toml")
        copied = await meristem("data", "copy", "--to", url, "--service", "orders")
        moved = await meristem("sagas", "list", "--placement", "moved.toml", "--json")
        published = await meristem("events", "publish", "shop.orders.v1.Sold", '{"item": "lamp"}', "--system", "shop")

    assert [each.code for each in looked] == [0] * len(looking), [each.err for each in looked]
    assert left == []
    assert (half.code, "has not all that was copied to it" in half.err) == (1, True)
    assert "rows are the same in both databases" in copied.out, copied.err
    assert [each["name"] for each in moved.json["orders"]] == ["order"]
    assert published.code == 0, published.err
