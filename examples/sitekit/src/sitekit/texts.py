"""Texts that people write, as contracts bound them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

ONE_LINE: Final = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$(?!\n)"
"""The pattern of something on one line, which labels and letters show as it is.

It has no control character, no separator of lines or paragraphs (Unicode's Cc, Zl, Zp), and none that turns the
direction of what stands behind it (Unicode Standard Annex 9).
"""

Name = Annotated[str, Meta(pattern=ONE_LINE, min_length=1, max_length=120)]
