"""A span among the options of a bus's URL is written as times are everywhere."""

from __future__ import annotations

import pytest

from meristem.errors import ConfigurationError
from meristem.events.brokers.address import seconds


@pytest.mark.parametrize(
    ("given", "found"), [("30d", 2_592_000), ("2w", 1_209_600), ("90 min", 5400), ("90m", 5400), ("1.5h", 5400)]
)
def test_a_span_is_a_time_with_its_unit(given: str, found: float):
    assert seconds({"keep": given}, "keep", "30d") == found
    assert seconds({}, "keep", given) == found


@pytest.mark.parametrize(
    ("given", "why"),
    [("30", "write a number with ms, s, min, h, d or w behind it, such as 30d"), ("0d", "from a second to a hundred"),
     ("200ms", "from a second to a hundred"), ("999999999w", "from a second to a hundred")],
)  # fmt: skip
def test_what_is_none_is_refused_with_the_option(given: str, why: str):
    with pytest.raises(ConfigurationError, match=rf"the bus: keep='{given}'.*{why}"):
        seconds({"keep": given}, "keep", "30d")
