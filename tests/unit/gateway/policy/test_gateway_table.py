"""A `[gateway]` table that can't be meant is refused by key, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from meristem.errors import ConfigurationError
from meristem.system.placement import Placement

SOUND = """
[gateway.limits.visitors]
rate = "200/s"
burst = 100

[gateway.routes.site]
path = "/*"
limits = ["visitors"]
"""


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"200/s"', '"200"', "200/s, 30/min"),
        ('"200/s"', '"0/s"', "no rate above zero"),
        ('["visitors"]', '["visitor"]', "there is no [gateway.limits.visitor]; known are visitors"),
        ("burst = 100", "burst = -1", "0 or more"),
        ("burst = 100", "brust = 1", "brust"),
        ('"/*"', '"api"', "a path from its first slash on"),
        ("burst = 100", 'status = 418', "418"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_and_where(tmp_path: Path, before: str, after: str, why: str):
    file = tmp_path / "one.toml"
    file.write_text(SOUND)
    assert Placement.read(file).gateway is not None
    file.write_text(SOUND.replace(before, after))
    with pytest.raises(ConfigurationError) as raised:
        Placement.read(file)
    assert why in str(raised.value)
    assert "gateway" in str(raised.value)
