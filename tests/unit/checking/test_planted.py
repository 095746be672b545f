"""Each kind of fault that divides wrongly is found, in the line where it stands and with both parts named."""

from pathlib import Path

import pytest

from .conftest import Checking, Files

STOCK = """
from bazaar.contracts import Stock
from meristem import Service
{imports}

class StockService(Stock, Service{bases}):
    async def left(self, article: str) -> int:
        {code}
        return 1
"""
ORDERS = STOCK.replace("Stock", "Orders").replace("left(self, article: str)", "count(self)")
COMMON, TAKING, GIVING = "bazaar/common/state.py", "bazaar/stock/service.py", "bazaar/orders/service.py"


def stock(imports: str, code: str = "pass", bases: str = "") -> Files:
    return {TAKING: STOCK.format(imports=imports, code=code, bases=bases)}


def orders(imports: str, code: str = "pass", bases: str = "") -> Files:
    return {GIVING: ORDERS.format(imports=imports, code=code, bases=bases)}


def both(state: str, used: str, name: str, other: str | None = None) -> Files:
    """State of a module of nobody's, which both services use."""
    taken = f"from bazaar.common.state import {name}"
    return {COMMON: state} | stock(taken, used) | orders(taken, used if other is None else other)


# what is planted: the rule that finds it, whose it is, the parts that are named, and the files
PLANTED: dict[str, tuple[str, set[str], Files]] = {
    "import of another service's module": (
        "import",
        {"orders", "stock"},
        {"bazaar/stock/pricing.py": "def price() -> int:\n    return 1\n"}
        | orders("from bazaar.stock.pricing import price  # <-", "price()"),
    ),
    "import inside of a function": (
        "class",
        {"orders", "stock"},
        orders("", "from bazaar.stock.service import StockService  # <-"),
    ),
    "import by a module of nobody's": (
        "class",
        {"orders", "stock"},
        {"bazaar/common/help.py": "from bazaar.stock.service import StockService  # <-\n"}
        | orders("from bazaar.common.help import StockService as Helper"),
    ),
    "import of a module that is asked for by text": (
        "import",
        {"orders", "stock"},
        {"bazaar/stock/pricing.py": "RATE = 1\n"}
        | orders("import importlib", 'importlib.import_module("bazaar.stock.pricing")  # <-'),
    ),
    "import in a test of a service": (
        "table",
        {"orders", "stock"},
        {"bazaar/orders/tests/test_count.py": "from bazaar.stock.tables import articles  # <-\nMENTIONED = 'stock'\n"},
    ),
    "another service's table": (
        "table",
        {"orders", "stock"},
        orders("from bazaar.stock.tables import articles  # <-", "articles.select()"),
    ),
    "app code that makes a service's class": (
        "class",
        {"web", "stock"},
        {"bazaar/web/app.py": "from bazaar.stock.service import StockService  # <-\napp = StockService(None)\n"},
    ),
    "another service's dict": (
        "state",
        {"orders", "stock"},
        stock("LEFT = {}", 'LEFT["lamp"] = 1')
        | orders("from bazaar.stock.service import LEFT  # <-", 'LEFT.get("lamp")'),
    ),
    "textual SQL on another's table": (
        "sql",
        {"orders", "stock"},
        orders("from sqlalchemy import text", 'text("SELECT count(*) FROM articles")  # <-'),
    ),
    "textual SQL made of pieces": (
        "sql",
        {"orders", "stock"},
        orders("from sqlalchemy import text", 'text(f"UPDATE articles SET id = {1}")  # <-'),
    ),
    "a foreign key to another's table": (
        "sql",
        {"orders", "stock"},
        orders("from sqlalchemy import Column, ForeignKey", 'Column("a", ForeignKey("articles.id"))  # <-'),
    ),
    "a migration that changes another's table": (
        "sql",
        {"orders", "stock"},
        {
            "bazaar/orders/migrations/versions/0001_x.py": "from alembic import op\n\ndef upgrade():\n"
            '    op.drop_table("articles")  # <-\n'
        },
    ),
    "a list": ("state", {"orders", "stock"}, both("SEEN: list[str] = []  # <-\n", 'SEEN.append("x")', "SEEN")),
    "a dict that one writes and one reads": (
        "state",
        {"orders", "stock"},
        both("SEEN = {}  # <-\n", 'SEEN["x"] = 1', "SEEN", "len(SEEN)"),
    ),
    "a dict under another name": (
        "state",
        {"orders", "stock"},
        {COMMON: "SEEN = {}  # <-\n"}
        | stock("from bazaar.common import state\nMINE = state.SEEN", "MINE.update(a=1)")
        | orders("from bazaar.common.state import SEEN", "len(SEEN)"),
    ),
    "a dict under a local name": (
        "state",
        {"orders", "stock"},
        both("SEEN = {}  # <-\n", "mine = SEEN; mine['a'] = 1", "SEEN", "len(SEEN)"),
    ),
    "a dict that an instance holds": (
        "state",
        {"orders", "stock"},
        {
            COMMON: "SEEN = {}  # <-\n",
            TAKING: STOCK.format(imports="from bazaar.common.state import SEEN", code="self.seen['a'] = 1", bases="")
            + "    def __init__(self) -> None:\n        self.seen = SEEN\n",
        }
        | orders("from bazaar.common.state import SEEN", "len(SEEN)"),
    ),
    "a dict that a function changes": (
        "state",
        {"orders", "stock"},
        both("SEEN = {}  # <-\ndef put(where):\n    where['a'] = 1\n", "put(SEEN)", "SEEN, put", "len(SEEN)"),
    ),
    "a list that is looped over": (
        "state",
        {"orders", "stock"},
        both("ROWS = [{}]  # <-\n", "\n        for row in ROWS:\n            row['a'] = 1", "ROWS", "len(ROWS)"),
    ),
    "a list that comes by a star": (
        "state",
        {"orders", "stock"},
        {COMMON: "SEEN = []  # <-\n"}
        | stock("from bazaar.common.state import *", "SEEN.append(1)")
        | orders("from bazaar.common.state import *", "len(SEEN)"),
    ),
    "a name that is given to a module": (
        "state",
        {"orders", "stock"},
        {COMMON: "# <-\n"}
        | stock("from bazaar.common import state", "state.current = 1")
        | orders("from bazaar.common import state", "state.current"),
    ),
    "a count that a function keeps on itself": (
        "state",
        {"orders", "stock"},
        both("def up():  # <-\n    up.calls += 1\nup.calls = 0\n", "up()", "up"),
    ),
    "one object by a class method": (
        "state",
        {"orders", "stock"},
        both(
            "class Bank:  # <-\n    _one = None\n    @classmethod\n    def one(cls):\n"
            "        cls._one = cls._one or cls()\n"
            "        return cls._one\n",
            "Bank.one()",
            "Bank",
        ),
    ),
    "a counter by functions": (
        "state",
        {"orders", "stock"},
        both("count = 0  # <-\ndef up():\n    global count\n    count += 1\n    return count\n", "up()", "up"),
    ),
    "a counter by itertools": (
        "state",
        {"orders", "stock"},
        both("from itertools import count\nnumbers = count()  # <-\n", "next(numbers)", "numbers"),
    ),
    "an attribute of a class": (
        "state",
        {"orders", "stock"},
        both("class Totals:  # <-\n    sold = 0\n", "Totals.sold += 1", "Totals"),
    ),
    "a collection of a base class": (
        "state",
        {"orders", "stock"},
        {COMMON: "class Seeing:  # <-\n    seen = []\n    def see(self, what):\n        self.seen.append(what)\n"}
        | stock("from bazaar.common.state import Seeing", "self.see(1)", ", Seeing")
        | orders("from bazaar.common.state import Seeing", "self.see(1)", ", Seeing"),
    ),
    "an object that its methods change": (
        "state",
        {"orders", "stock"},
        both(
            "class Basket:\n    def __init__(self):\n        self.items = []\n    def put(self, item):\n"
            "        self.items.append(item)\nbasket = Basket()  # <-\n",
            "basket.put(1)",
            "basket",
        ),
    ),
    "a function that keeps its results": (
        "state",
        {"orders", "stock"},
        both("from functools import lru_cache\n@lru_cache\ndef rate():  # <-\n    return object()\n", "rate()", "rate"),
    ),
    "a mutable default argument": (
        "state",
        {"orders", "stock"},
        both("def collect(x, into=[]):  # <-\n    into.append(x)\n    return into\n", "collect(1)", "collect"),
    ),
    "a context variable": (
        "state",
        {"orders", "stock"},
        both("from contextvars import ContextVar\nlocale = ContextVar('locale')  # <-\n", "locale.get()", "locale"),
    ),
    "an engine": (
        "state",
        {"orders", "stock"},
        both(
            "from sqlalchemy import create_engine\nengine = create_engine('sqlite://')  # <-\n",
            "engine.connect()",
            "engine",
        ),
    ),
    "a session": (
        "state",
        {"orders", "stock"},
        both("import requests\nweb = requests.Session()  # <-\n", "web.get('http://bank')", "web"),
    ),
    "a cache": (
        "state",
        {"orders", "stock"},
        both("from cachetools import TTLCache\nrates = TTLCache(9, 9)  # <-\n", "rates.get(1)", "rates"),
    ),
    "a lock": (
        "state",
        {"orders", "stock"},
        both("import asyncio\nlock = asyncio.Lock()  # <-\n", "await lock.acquire()", "lock"),
    ),
    "a registry that is filled by a decorator": (
        "state",
        {"orders", "stock"},
        both(
            "KNOWN = {}  # <-\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\n",
            "len(KNOWN)",
            "KNOWN, register",
        ),
    ),
    "a function of nobody's that is replaced": (
        "state",
        {"orders", "stock"},
        {COMMON: "def rate():  # <-\n    return 1\n"}
        | stock("from bazaar.common import state", "state.rate = lambda: 2")
        | orders("from bazaar.common import state", "state.rate()"),
    ),
    "a library's function that is replaced": (
        "patch",
        {"orders"},
        orders("import json", "json.dumps = str  # <-"),
    ),
    "a library's method that is replaced by setattr": (
        "patch",
        {"orders"},
        orders("from http.client import HTTPConnection", "setattr(HTTPConnection, 'close', print)  # <-"),
    ),
    "an environment variable that is set": (
        "patch",
        {"orders"},
        orders("import os", "os.environ['RATE'] = '7'  # <-"),
    ),
    "environment variables that are set at once": (
        "patch",
        {"stock"},
        stock("from os import environ", "environ.update(RATE='7')  # <-"),
    ),
    "the seed of all random numbers": (
        "patch",
        {"orders"},
        orders("import random", "random.seed(7)  # <-"),
    ),
    "the folder of the process": (
        "patch",
        {"orders"},
        orders("from os import chdir", "chdir('/tmp')  # <-"),
    ),
    "a file that both write": (
        "file",
        {"orders", "stock"},
        stock("", "open('sales.csv', 'a').write('x')")
        | orders("from pathlib import Path", "Path('./sales.csv').write_text('x')  # <-"),
    ),
    "a file in a folder that both know": (
        "file",
        {"orders", "stock"},
        {COMMON: "from pathlib import Path\nFOLDER = Path('data')\n"}
        | stock("from bazaar.common.state import FOLDER", "(FOLDER / 'x.csv').write_text('x')  # <-")
        | orders("", "open('data/x.csv')"),
    ),
    "a database file of both": (
        "file",
        {"orders", "stock"},
        stock("import sqlite3", "sqlite3.connect('shop.db')")
        | orders("import sqlite3", "sqlite3.connect('shop.db')  # <-"),
    ),
    "a file by a constant that both have": (
        "file",
        {"orders", "stock"},
        both("import os\nfrom pathlib import Path\nLOG = Path(os.environ['LOG'])\n", "LOG.write_text('x')", "LOG"),
    ),
}


def marked(files: Files) -> set[tuple[str, int]]:
    """The lines that are marked as the ones to be named."""
    return {
        (name, number)
        for name, text in files.items()
        for number, line in enumerate(text.lstrip("\n").splitlines(), 1)
        if "# <-" in line
    }


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_in_its_line_and_nothing_else_is(kind: str, checking: Checking, tmp_path: Path):
    rule, parts, files = PLANTED[kind]

    found = checking(files)

    assert [each.rule for each in found] == [rule], "\n".join(map(str, found))
    (finding,) = found
    assert set(finding.parts) == parts
    assert (marked(files) or {(finding.file, finding.line)}) == {(finding.file, finding.line)}
    assert finding.remedy
