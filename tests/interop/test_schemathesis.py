"""What the OpenAPI document says is so, for a tester that reads nothing else: every check of Schemathesis."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.victim import running

ORDERS = Path(__file__).parents[2] / "examples/quickstart/orders.py"
RUN = [sys.executable, "-m", "schemathesis.cli", "run"]
OPTIONS = ["--checks", "all", "--continue-on-failure", "--request-timeout", "60", "--no-color"]
BOUNDED = ["--phases", "coverage,fuzzing", "--max-examples", "20", "--seed", "1", "--suppress-health-check", "all"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)


def test_the_quickstart_has_no_finding(tmp_path: Path):
    system = Path(shutil.copy(ORDERS, tmp_path))

    with running(system, tmp_path / "log") as shop:
        document = f"http://127.0.0.1:{shop.port}/api/openapi.json"
        found = subprocess.run(
            [
                *RUN,
                document,
                "--checks",
                "all",
                *BOUNDED,
                "--continue-on-failure",
                "--request-timeout",
                "60",
                "--no-color",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    assert found.returncode == 0, found.stdout
    assert "4 selected / 4 total" in found.stdout
