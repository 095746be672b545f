"""What goes wrong in the user's own files is shown by their lines, and by none of what merely led to them."""

import sys
from pathlib import Path

import pytest

CONTRACT = """from typing import Protocol
from meristem import Contract, Service, System, once
class Bank(Contract, Protocol, package="b.v1"):
    @once
    async def charge(self, card: str) -> str: ...
"""
BANK = """class BankService(Bank, Service):
    async def charge(self, card: str) -> str: return ''
"""

FAILING = {
    "syntax": ("class A(:\n", ['  File "{folder}/broken.py", line 1', "    class A(:"], "SyntaxError: invalid syntax"),
    "import": (
        "import nosuchthing\n",
        ['  File "{folder}/broken.py", line 1, in <module>', "    import nosuchthing"],
        f"install it for {sys.executable}",
    ),
    "module": (
        "def port():\n    return {}['port']\nPORT = port()\n",
        ['broken.py", line 3, in <module>', "PORT = port()", 'broken.py", line 2, in port', "    return {}['port']"],
        "KeyError: 'port' (",
    ),
    "below": (
        "from below import X\n",
        ['broken.py", line 1, in <module>', 'below.py", line 1, in <module>', "    X = 1 / 0"],
        "ZeroDivisionError: division by zero (",
    ),
    "exit": ("import sys\nsys.exit('no')\n", ['broken.py", line 2', "    sys.exit('no')"], "SystemExit: no ("),
    "contract": (
        CONTRACT.replace("card: str", "card"),
        ['broken.py", line 3, in <module>', "    class Bank("],
        "error: broken.py:4: Bank.charge: annotate the parameter 'card', e.g. `card: str`",
    ),
    "system": (
        "from meristem import System\nSystem('Bad Name', services=[])\n",
        ['broken.py", line 2, in <module>', "    System('Bad Name', services=[])"],
        "error: 'Bad Name' cannot name a part of a system",
    ),
    "wiring": (
        CONTRACT + "class BankService(Bank, Service):\n    def __init__(self, what: dict) -> None: ...\n"
        "    async def charge(self, card: str) -> str: return ''\n",
        ['broken.py", line 6, in BankService', "    class BankService(Bank, Service):"],
        "error: BankService: nothing gives its parameter `what: dict`; ask for",
    ),
    "missing": (
        CONTRACT + "class BankService(Bank, Service): ...\n",
        ['broken.py", line 6, in BankService', "    class BankService(Bank, Service): ..."],
        "error: BankService does not implement Bank.charge",
    ),
    "nobody": (
        CONTRACT + "class ShopService(Service):\n    def __init__(self, bank: Bank) -> None: ...\n"
        "system = System('shop', services=[ShopService])\n",
        ['broken.py", line 6, in ShopService', "    class ShopService(Service):"],
        "error: shop asks for Bank, but no service of the system implements it",
    ),
    "twice": (
        CONTRACT
        + BANK
        + BANK.replace("BankService", "OtherService")
        + "system = System('shop', services=[BankService, OtherService])\n",
        ['broken.py", line 6, in BankService', 'broken.py", line 8, in OtherService'],
        "error: Bank is implemented by both 'bank' and 'other'; keep one",
    ),
}


@pytest.mark.parametrize("case", FAILING)
@pytest.mark.parametrize("verb", [["graph"], ["run", "--port", "0"]])
async def test_the_users_lines_come_first_and_no_other(meristem, project: Path, case, verb):
    text, shown, told = FAILING[case]
    (project / "broken.py").write_text(text)
    (project / "below.py").write_text("X = 1 / 0\n")
    ended = await meristem(*verb, "broken.py")

    assert ended.code == 1
    places = [ended.err.index(part.replace("{folder}", str(project))) for part in shown]
    assert places == sorted(places)
    *above, last = ended.err.splitlines()
    assert last.startswith("error: ")
    assert told in last
    files = [line for line in above if line.startswith('  File "')]
    assert files
    assert all(f'"{project}/' in line for line in files)


async def test_a_library_that_the_users_line_calls_is_shown_after_it(meristem, project: Path):
    (project / "broken.py").write_text("import json\njson.loads('{')\n")
    ended = await meristem("graph", "broken.py")

    files = [line for line in ended.err.splitlines() if line.startswith('  File "')]
    assert "broken.py" in files[0]
    assert "json" in files[1]


async def test_what_a_service_raises_as_it_starts_is_shown_by_its_line(meristem, project: Path):
    (project / "broken.py").write_text(
        "from meristem import Service\nclass A(Service):\n    def __init__(self) -> None:\n        {}['key']\n"
    )
    ended = await meristem("run", "broken.py", "--port", "0")

    assert ended.code == 1
    assert ended.err.startswith(
        f'Traceback (most recent call last):\n  File "{project}/broken.py", line 4, in __init__\n'
    )
    assert ended.err.endswith(f"error: KeyError: 'key' ({project}/broken.py:4, in __init__); mend it and run again\n")


async def test_a_service_that_is_named_by_text_is_told_by_its_line(meristem, project: Path):
    (project / "below.py").write_text("from meristem import Service\nclass Below(Service):\n    x = unknown\n")
    (project / "broken.py").write_text("from meristem import System\nsystem = System('a', services=['below:Below'])\n")
    ended = await meristem("graph", "broken.py")

    assert ended.code == 1
    assert f"{project}/below.py:3: x = unknown); mend it and run again" in ended.err


async def test_services_without_a_contract_make_a_system_and_bases_of_others_do_not(meristem, project: Path):
    (project / "quiet.py").write_text(
        "from meristem import Service\nclass Base(Service): ...\nclass Quiet(Base): ...\n"
    )
    ended = await meristem("graph", "quiet.py", "--json")

    assert [each["name"] for each in ended.json["services"]] == ["quiet"]
