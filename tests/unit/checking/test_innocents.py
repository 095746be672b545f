"""What divides well is not spoken of."""

import pytest

from .conftest import Checking, Files
from .test_planted import COMMON, both, orders, stock

INNOCENT: dict[str, Files] = {
    "the bazaar as it is": {},
    "a logger": both("import logging\nlog = logging.getLogger('x')\n", "log.info('x')", "log"),
    "a compiled pattern": both("import re\nWORD = re.compile('x')\n", "WORD.match('x')", "WORD"),
    "a table of its own": orders(
        "from sqlalchemy import Column, Integer, MetaData, Table\nmetadata = MetaData()\n"
        "articles = Table('articles', metadata, Column('id', Integer))",
        "articles.select()",
        ", tables=metadata",
    ),
    "constants": both(
        "MOST = 3\nNAMES = ('a', 'b')\nSET = frozenset({1})\n", "MOST, NAMES[0], SET", "MOST, NAMES, SET"
    ),
    "an enum": both("from enum import Enum\nclass Colour(Enum):\n    RED = 1\n", "Colour.RED.value", "Colour"),
    "type aliases": both("from typing import TypeVar\nNames = dict[str, int]\nT = TypeVar('T')\n", "Names", "Names, T"),
    "a map that nobody writes": both("from typing import Final\nRATES: Final = {'a': 1}\n", "RATES['a']", "RATES"),
    "a map that is built as it is imported": both(
        "RATES = {}\nfor n in 'ab':\n    RATES[n] = 1\n", "RATES['a']", "RATES"
    ),
    "a copy that is changed": both("RATES = {'a': 1}\n", "mine = dict(RATES); mine['b'] = 2", "RATES"),
    "a local name like that of the state": both("SEEN = {}\n", "SEEN = {}; SEEN['a'] = 1", "SEEN as OTHER"),
    "state of one service alone": stock("SEEN = []\nfrom functools import cache", "SEEN.append(1)"),
    "a module of nobody's that one service alone uses": {COMMON: "SEEN = []\n"}
    | stock("from bazaar.common.state import SEEN", "SEEN.append(1)"),
    "a cached function of one service": {COMMON: "from functools import cache\n@cache\ndef rate():\n    return 1\n"}
    | orders("from bazaar.common.state import rate", "rate()"),
    "a function of nobody's": both(
        "def double(x):\n    seen = []\n    seen.append(x)\n    return x * 2\n", "double(1)", "double"
    ),
    "a mutable default that is only read": both("def total(xs=[]):\n    return sum(xs)\n", "total()", "total"),
    "objects that hold their own lists": both(
        "class Basket:\n    def __init__(self):\n        self.items = []\n    def put(self, x):\n"
        "        self.items.append(x)\n",
        "Basket().put(1)",
        "Basket",
    ),
    "a message with a list": both(
        "from meristem import Message\nclass Page(Message):\n    rows: list[int] = []\n", "Page(rows=[1])", "Page"
    ),
    "attributes of a framework's app": {
        "bazaar/web/app.py": "from quart import Quart, g\ndef create():\n    app = Quart(__name__)\n"
        "    app.secret_key = 'x'\n"
        "    app.config['A'] = 1\n    return app\napp = create()\napp.debug = True\n@app.before_request\n"
        "def guest():\n    g.user = 1\n"
    },
    "an exception and its data": both("class Wrong(Exception):\n    code = 1\n", "raise Wrong", "Wrong"),
    "imports for types alone": orders(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bazaar.stock.service import StockService"
    ),
    "events and messages in the package of their service": {
        "bazaar/stock/events.py": "from meristem import Event\nclass Gone(Event, package='bazaar.stock.v1'):\n"
        "    article: str\n"
    }
    | orders("from bazaar.stock.events import Gone", "Gone(article='x')"),
    "a test that makes a system of its own": {
        "bazaar/orders/tests/test_both.py": "from meristem import System\n"
        "from bazaar.stock.service import StockService\n"
        "from bazaar.orders.service import OrdersService\n"
        "system = System('t', services=[StockService, OrdersService])\n"
    },
    "SQL on a table of its own, and words like it": orders(
        "from sqlalchemy import Column, Integer, MetaData, Table, text\nmetadata = MetaData()\n"
        "baskets = Table('baskets', metadata, Column('id', Integer))",
        'text("SELECT 1 FROM baskets"); print("choose from articles")',
        ", tables=metadata",
    ),
    "a file that both read": {}
    | stock("", "open('rates.csv').read()")
    | orders("from pathlib import Path", "Path('rates.csv').read_text()"),
    "two files": stock("", "open('a.csv', 'w')") | orders("", "open('b.csv', 'w')"),
    "a distribution below a package": {
        "bazaar/orders/vendored/pyproject.toml": "",
        "bazaar/orders/vendored/__init__.py": "import json\njson.dumps = str\n",
    },
    "a distribution below the project": {
        "receipts/pyproject.toml": "",
        "receipts/__init__.py": "SEEN = []\n",
    }
    | stock("from receipts import SEEN", "SEEN.append(1)")
    | orders("from receipts import SEEN", "SEEN.append(1)"),
    "a class of the system's own with the name of a library's": both(
        "from bazaar.common.names import Cache\nlimits = Cache(3)\n", "limits.most", "limits"
    )
    | {"bazaar/common/names.py": "class Cache:\n    def __init__(self, most):\n        self.most = most\n"},
    "a metric": both("from prometheus_client import Counter\nsold = Counter('a', 'b')\n", "sold.inc()", "sold"),
    "templates that are made as they are imported": both(
        "from jinja2 import Environment\npages = Environment()\npages.filters['x'] = str\n",
        "pages.list_templates()",
        "pages",
    ),
    "a contract that its package hands on": {
        "bazaar/stock/events.py": "from meristem import Event\nclass Gone(Event, package='bazaar.stock.v1'):\n"
        "    article: str\n",
        "bazaar/stock/__init__.py": "from bazaar.stock.events import Gone\n",
    }
    | orders("from bazaar.stock import Gone", "Gone(article='x')"),
    "a function that changes what is its caller's own": both(
        "def fill(rows):\n    rows.append(1)\n", "rows = []; fill(rows)", "fill"
    ),
    "a counter that is set again in a loop": both(
        "LEFT = {'a': 1}\n", "\n        for n in LEFT.values():\n            n += 1", "LEFT"
    ),
    "environment variables that are read, and others for a program": orders(
        "import os",
        "own = os.environ | {'A': os.environ.get('B', '')}; own['C'] = '1'; mine = dict(os.environ); mine['D'] = '1'",
    ),
    "what a module sets as it is imported": orders(
        "import os, random\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')", "random.Random(7).random()"
    ),
    "a library's own settings": orders("import structlog, sys", "structlog.configure(); sys.path.append('x')"),
}


@pytest.mark.parametrize("kind", INNOCENT)
def test_what_divides_well_is_not_spoken_of(kind: str, checking: Checking):
    found = checking(INNOCENT[kind])

    assert not found, "\n".join(map(str, found))
