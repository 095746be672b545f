"""A system runs on adapters that an installed package brings, named by nothing but URLs."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BRINGS = """
[meristem.databases]
acme = acme:open_driver
[meristem.buses]
acme = acme:open_bus
[meristem.clients]
acme = acme:open_client
"""


async def test_a_shop_runs_on_a_database_a_bus_and_a_wire_of_an_installed_package(tmp_path: Path):
    site, folder = tmp_path / "site", tmp_path / "shop"
    about = site / "acme_adapters-1.0.dist-info"
    about.mkdir(parents=True)
    folder.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-adapters\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(BRINGS)
    shutil.copy(HERE / "acme.py", site)
    shutil.copy(HERE / "acme_shop.py", folder)  # beside its own folder alone, so that `acme` is the installed one

    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", str(folder / "acme_shop.py"), str(folder)],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["answer"], found["taken"]) == (3, 1)
    # a process that begins to take events says so by a call, too
    assert [each for each in found["calls"] if each != "announce"] == ["order", "left", "taken"]
    assert found["systems"] == ["acme"]
    assert (folder / "data" / "orders" / "acme.db").exists()
    assert (folder / "data" / "stock" / "acme.db").exists()
    # Each process has its bus: up before anything is published, drained once, down when the process is.
    assert found["life"] == [
        "start shop ['stock']",
        "start shop []",
        "publish shop.v1.Ordered",
        "drain",
        "stop",
        "stop",
    ]
