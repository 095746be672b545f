"""What the site's OpenAPI document says is so: Schemathesis finds nothing, signed in or not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from sites import Site, guest

RUN = [sys.executable, "-m", "schemathesis.cli", "run"]
BOUNDED = ["--phases", "coverage,fuzzing", "--max-examples", "10", "--seed", "1", "--suppress-health-check", "all"]
# The site has rules that no schema can tell: a day may be past, a password easy to guess, an e-mail address too long.
RULES = "positive_data_acceptance"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)


def test_no_answer_differs_from_the_document(site: Site, tmp_path: Path):
    ada = guest("Ada of the schema")
    site.http.post("/api/users", json=ada).raise_for_status()
    session = site.http.post("/api/sessions", json={key: ada[key] for key in ("email", "password")} | {"device": "x"})
    token = session.raise_for_status().json()["token"]

    found = subprocess.run(
        [
            *[*RUN, f"{site.address}/api/openapi.json", "--checks", "all", "--exclude-checks", RULES, *BOUNDED],
            *["--continue-on-failure", "--request-timeout", "60", "--no-color", "-H", f"Authorization: Bearer {token}"],
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout
    assert "9 selected / 9 total" in found.stdout
