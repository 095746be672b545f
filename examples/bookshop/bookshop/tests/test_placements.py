"""Each placement of the shop has room for all its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PLACEMENTS = Path(__file__).parents[2] / "placements"


def graph(*arguments: str) -> Any:
    command = [sys.executable, "-m", "meristem", "graph", *arguments, "--json"]
    told = subprocess.run(command, cwd=PLACEMENTS.parent, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_recommendations_have_other_hardware_than_the_edge() -> None:
    told = graph("--placement", "placements/split.toml")
    processes = {each["name"]: each for each in told["processes"]}
    assert processes["recommendations"]["replicas"] == 2
    assert processes["edge"]["replicas"] == 1
    assert processes["recommendations"]["bounds"]["cpu"] > processes["edge"]["bounds"]["cpu"]


def test_nothing_stands_in_for_a_third_party_in_production() -> None:
    told = graph("bookshop.system:production", "--placement", "placements/production.toml")
    assert [each["name"] for each in told["apps"]] == ["web"]
