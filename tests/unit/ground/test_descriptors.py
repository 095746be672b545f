"""File descriptors: raised at the start, named when they run out. Each in a process of its own, whose limit it is."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

FEW = """
import asyncio, os, resource, sys
from pathlib import Path

def use_up():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    while True:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return held
"""


def ran(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_the_soft_limit_is_raised_to_the_hard_one_and_never_lowered():
    told = ran(
        "import resource; from meristem.descriptors import raise_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300)); raise_limit()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE)); raise_limit()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )

    assert told.split() == ["300", "300"] * 2


def test_a_database_that_finds_no_descriptor_names_the_limit():
    told = ran(
        FEW + "from meristem.storage.database import database_for\n"
        "async def main():\n"
        "    database = database_for(f'sqlite:///{sys.argv[0]}x.db', name='shop', directory=Path('/tmp'))\n"
        "    await asyncio.to_thread(int)  # what is imported lazily is there\n"
        "    held = use_up()\n"
        "    try: await database.start()\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
        "asyncio.run(main())"
    )

    assert "all 64 file descriptors of this process are in use (RLIMIT_NOFILE)" in told


def test_a_call_that_finds_no_descriptor_names_the_limit():
    told = ran(
        FEW + "from meristem.transports.http.address import Address\n"
        "from meristem.transports.http.client.pool import Pool\n"
        "from meristem.resilience.limits import ClientLimits\n"
        "async def main():\n"
        "    pool = Pool(Address.parse('tcp://127.0.0.1:9'), ClientLimits(), None)\n"
        "    held = use_up()\n"
        "    try: await pool._opened('Rooms.find')\n"
        "    except Exception as error: print(error)\n"
        "asyncio.run(main())"
    )

    assert "all 64 file descriptors of this process are in use (RLIMIT_NOFILE)" in told
