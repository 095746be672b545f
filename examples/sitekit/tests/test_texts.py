"""A name is one line that says something."""

from __future__ import annotations

import msgspec
import pytest
from sitekit.texts import Name


@pytest.mark.parametrize("name", ["Ada", "Zoë van der Berg", "李小龍", "محمد", "Đỗ Thị Hà", "O'Neill", "👩‍🔬 Ada"])
def test_a_name_is_written_in_any_script(name: str) -> None:
    assert msgspec.convert(name, Name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "\t", "Ada\nBcc: all", "Ada\r", "Ada\n", "\x00Ada", "Ada\x1b[31m", "Ada\x7f", "Ada\x85", "A\u2028da",
     "\u202eadA", "A\u2066da"],
)  # fmt: skip
def test_what_controls_how_it_is_shown_is_no_name(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)
