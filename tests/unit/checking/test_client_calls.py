"""What code calls by clients of its own: an app by `X.client()`, a program by `connect()`."""

import sys
from pathlib import Path

import msgspec
import pytest

from meristem.checking.client_calls import client_calls
from meristem.system.plan import ProgramPlan

from .conftest import BAZAAR, PLAN, Files, written

APP = ("web", "orders", "bazaar/web/app.py", 8)
CONNECTING = """
import asyncio
from bazaar.contracts import Stock
from meristem import connect

async def main() -> None:
    async with connect("http://127.0.0.1:8000") as bazaar:
        print(await bazaar.client(Stock).left("lamp"))

asyncio.run(main())
"""


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], files: Files):
    monkeypatch.syspath_prepend(str(folder))
    written(folder, BAZAAR | files)
    plan = msgspec.structs.replace(PLAN, programs=(ProgramPlan("ratings", command),))
    return [(each.caller, each.callee, each.file, each.line) for each in client_calls(plan, "bazaar.system", folder)]


@pytest.mark.parametrize(
    ("command", "files", "file"),
    [
        ((sys.executable, "ratings.py"), {"ratings.py": CONNECTING}, "ratings.py"),
        (("python", "-u", "tools/ratings.py", "--all"), {"tools/ratings.py": CONNECTING}, "tools/ratings.py"),
        (("python", "-m", "tools.ratings"), {"tools/ratings.py": CONNECTING}, "tools/ratings.py"),
        (("python", "-m", "rates"), {"rates/__init__.py": "", "rates/__main__.py": CONNECTING}, "rates/__main__.py"),
        (("python", "run.py"), {"run.py": "import tools.ratings", "tools/ratings.py": CONNECTING}, "tools/ratings.py"),
    ],
)  # fmt: skip
def test_a_program_in_python_calls_whose_contract_it_names(tmp_path, monkeypatch, command, files, file):
    assert told(tmp_path, monkeypatch, command, files) == [("ratings", "stock", file, 7), APP]


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (("node", "ratings.js"), {"ratings.js": "Stock"}),
        (("python", "ratings.py"), {"ratings.py": "import urllib.request\n"}),
        (("python", "ratings.py"), {"ratings.py": "from bazaar.contracts import Stock\n"}),
        (("python", "missing.py"), {}),
        (("python", "-m", "http.server"), {}),
    ],
)
def test_a_program_that_names_no_contract_calls_nobody(tmp_path, monkeypatch, command, files):
    assert told(tmp_path, monkeypatch, command, files) == [APP]
