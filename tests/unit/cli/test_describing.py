"""What `meristem contracts export` and `meristem settings` tell is all of it, and what holds where a service runs."""

import signal

import pytest

VERSIONS = """
from typing import Protocol
from meristem import Contract, Secret, Service, Settings, System, safe

class Limits(Settings):
    most: int = 1
    key: Secret = Secret("")

def contract(package):
    class Rooms(Contract, Protocol, package=package):
        @safe
        async def count(self) -> int: ...

    return Rooms

First, Second = contract("inn.v1"), contract("inn.v2")

class OldService(First, Service):
    async def count(self) -> int:
        return 1

class NewService(Second, Service):
    def __init__(self, limits: Limits) -> None: ...

    async def count(self) -> int:
        return 2

system = System("inn", services=[OldService, NewService])
"""
PLACED = """
[processes]
old = ["old"]
new = { services = ["new"], settings = { new = { most = 7 } } }

[settings.new]
most = 3
"""


@pytest.fixture(autouse=True)
def inn(project):
    (project / "inn.py").write_text(VERSIONS)
    (project / "placed.toml").write_text(PLACED)


async def test_two_contracts_of_one_name_are_both_written_and_told_apart_by_their_packages(meristem):
    both = await meristem("contracts", "export", "inn.py:system")
    named = await meristem("contracts", "export", "inn.py:system", "--contract", "Rooms")
    second = await meristem("contracts", "export", "inn.py:system", "--contract", "inn.v2.Rooms")

    assert [line for line in both.out.splitlines() if line.startswith("package")] == [
        "package inn.v1;",
        "package inn.v2;",
    ]
    assert named.out == both.out
    assert "package inn.v2;" in second.out
    assert "package inn.v1;" not in second.out


@pytest.mark.parametrize("placement", [(), ("--placement", "placed.toml")], ids=["one process", "processes"])
async def test_settings_are_those_that_the_running_system_uses(start, meristem, environment, placement):
    alone = await meristem("settings", "inn.py:system", "--json")
    assert alone.err == "inn does not run here: this is what it would use, started from this shell\n"
    assert alone.json["new"][0]["value"] == "1"

    environment["INN_NEW_KEY"] = "open sesame"
    environment["INN_NEW_MOST"] = "9"
    running = await start("run", "inn.py:system", "--port", "0", *placement)
    await running.shows("inn runs at ")
    del environment["INN_NEW_MOST"], environment["INN_NEW_KEY"]  # another shell has not been told
    used = await meristem("settings", "inn.py:system", "--json")
    would = await meristem("settings", "inn.py:system", "--placement", "placed.toml", "--json")
    table = await meristem("settings", "inn.py:system")

    most, key = used.json["new"]
    assert (most["value"], most["origin"], used.err) == ("9", "the environment variable INN_NEW_MOST", "")
    assert "open sesame" not in used.out + table.out
    assert key["origin"] == "the environment variable INN_NEW_KEY"
    assert would.json["new"][0]["value"] == "7"
    assert table.out.startswith("settings that inn uses")

    running.process.send_signal(signal.SIGTERM)
    await running.ended()
    after = await meristem("settings", "inn.py:system", "--json")
    assert after.json["new"][0]["value"] == "1"
    assert "inn does not run here" in after.err


async def test_settings_are_told_as_they_hold_in_the_process_of_the_service(meristem):
    found = await meristem("settings", "inn.py:system", "--placement", "placed.toml", "--json")

    most = found.json["new"][0]
    assert (most["value"], most["origin"]) == ("7", "[settings.new] in [processes.new.settings] of the placement")
