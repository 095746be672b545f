"""The site with documents on an older ReportLab than the rest: the same receipts, by other packages."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sites import Site, eventually, guest, milestones, run

from meristem.supervision.environments import PLACE
from meristem.system.state_directory import StateDirectory

pytestmark = pytest.mark.timeout(300)  # the first run makes the environment

PLACEMENT = Path(__file__).parents[1] / "placements" / "documents.toml"
KEPT = Path(__file__).parents[1] / ".meristem" / "environments"  # as a developer's own runs use it
VERSIONS = "from importlib.metadata import version as v; print(v('reportlab'), v('pillow'))"


@pytest.fixture
def site(new_home: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv(PLACE, str(KEPT))
    with run(new_home(), PLACEMENT) as site:
        yield site


def test_documents_renders_with_packages_that_are_older_than_those_of_the_rest(site: Site) -> None:
    who = guest("Lise Meitner")
    booked = site.book(site.own_offers(guests=1)[0]["room_id"], "lise", guest=who)
    assert booked.status_code == 201, booked.text
    booking_id, headers = booked.json()["booking_id"], site.signed_in(who)
    eventually(lambda: site.booking(booking_id, headers), lambda each: "receipt_issued" in milestones(each))

    running = StateDirectory(site.home, "hotels").running()
    assert running is not None
    pids = {each.process: each.pid for each in running.replicas}
    python = Path(f"/proc/{pids['documents']}/cmdline").read_text().split("\0")[0]
    told = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.split()
    rendered_with = Path(f"/proc/{pids['documents']}/maps").read_text()

    assert told == ["4.2.5", "11.3.0"]
    assert importlib.metadata.version("reportlab") > told[0]
    assert os.fspath(Path(python).parents[1]) in rendered_with  # its shared libraries: the accelerator of ReportLab
    assert "reportlab" not in Path(f"/proc/{pids['rest']}/maps").read_text()
