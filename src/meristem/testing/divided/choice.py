"""Which tests a run is about."""

from __future__ import annotations

import msgspec


class Choice(msgspec.Struct):
    """Which tests run: those of `only`, where it is given, without those at or below `off`."""

    only: list[str] | None = None
    off: list[str] = []

    def takes(self, test: str) -> bool:
        """Whether a test runs."""
        return (self.only is None or test in self.only) and not any(is_at(test, each) for each in self.off)


def is_at(test: str, place: str) -> bool:
    """Whether a test is `place`, or in the class, file or folder of that name, or a parametrisation of it."""
    return test == place or test.startswith((f"{place}::", f"{place}[", f"{place.rstrip('/')}/"))
