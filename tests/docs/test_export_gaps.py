"""What a proxy cannot do stands in the documentation as it stands in the code."""

from __future__ import annotations

import re

import pytest

from meristem.gateway.export.targets.known_targets import TARGETS
from tests.docs.pages import ROOT

REFUSED = "nothing is written"


@pytest.mark.parametrize("target", TARGETS)
def test_the_gaps_of_a_proxy_are_in_its_table(target):
    page = (ROOT / "docs/gateway-elsewhere.md").read_text()
    (section,) = re.findall(rf"^## [^\n]*`{target}`\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    rows = section.rpartition("| with `--approximate` |\n|---|---|---|\n")[2]
    told = [line for line in rows.splitlines() if line.startswith("|")]
    assert told == [f"| {each.what} | {each.why} | {each.instead or REFUSED} |" for each in TARGETS[target].gaps]
