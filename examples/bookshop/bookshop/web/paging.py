"""Lists that are shown page by page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from quart import abort, request

PageNumber = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


def page_asked_for() -> int:
    """The number of the page that the address asks for, the first where it names none; what is no number is a 400."""
    try:
        return msgspec.convert(request.args.get("page", "1").strip(), PageNumber, strict=False)
    except msgspec.ValidationError:
        abort(400)
