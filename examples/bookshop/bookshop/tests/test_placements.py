"""Each placement of the shop has room for all its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PLACEMENTS = Path(__file__).parents[2] / "placements"


def test_recommendations_have_other_hardware_than_the_edge() -> None:
    command = [sys.executable, "-m", "meristem", "graph", "--placement", "placements/split.toml", "--json"]
    told = subprocess.run(command, cwd=PLACEMENTS.parent, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    processes = {each["name"]: each for each in json.loads(told.stdout)["processes"]}
    assert processes["recommendations"]["replicas"] == 2
    assert processes["edge"]["replicas"] == 1
    assert processes["recommendations"]["bounds"]["cpu"] > processes["edge"]["bounds"]["cpu"]
