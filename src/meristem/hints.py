"""What was probably meant by a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A question for the message of an error, "did you mean 'search'?"; `otherwise` where nothing is close."""
    close = get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]!r}?" if close else otherwise
