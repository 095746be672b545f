"""Findings that a project knows of: they are counted, so that no new ones join them and mended ones stay mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from meristem.checking.finding import Finding
from meristem.errors import ConfigurationError


class Judged(msgspec.Struct, frozen=True):
    """Findings beside a baseline: those that are new, how many are known, and what is known but no longer there."""

    new: tuple[Finding, ...]
    known: int
    gone: dict[str, int]

    @property
    def well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.new and not self.gone


def judge(found: Sequence[Finding], known: Mapping[str, int]) -> Judged:
    """Set what was found against what is known, by keys that stay the same when lines move."""
    left = Counter(dict(known))
    new = []
    for each in found:
        if left[each.key] > 0:
            left[each.key] -= 1
        else:
            new.append(each)
    gone = {key: count for key, count in sorted(left.items()) if count > 0}
    return Judged(tuple(new), len(found) - len(new), gone)


def read_baseline(file: Path) -> dict[str, int]:
    """Access many findings of each key are known; none where there is no file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{file} is no baseline: {why}; write it with --update-baseline") from None


def write_baseline(file: Path, found: Sequence[Finding]) -> None:
    """Make what was found what is known; without findings there is no file."""
    if not found:
        file.unlink(missing_ok=True)
        return
    counted = dict(sorted(Counter(each.key for each in found).items()))
    file.write_bytes(msgspec.json.format(msgspec.json.encode(counted), indent=2) + b"\n")
