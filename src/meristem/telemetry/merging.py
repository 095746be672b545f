"""The figures of several processes as one page: a family once, each sample with the labels of its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})  # in a label's value, in both formats


class MetricsPage(NamedTuple):
    """What one process exposes, and the labels that tell its samples from those of others."""

    labels: Mapping[str, str]
    text: str


class _Family:
    """A metric family: its head lines by kind (`HELP`, `TYPE`, `UNIT`), then its samples."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.samples: list[str] = []


def wanted(accept: str) -> str:
    """The media type for what a client accepts: OpenMetrics where it is named, as Prometheus itself asks."""
    return OPENMETRICS if "application/openmetrics-text" in accept else PROMETHEUS


def merged(pages: Iterable[MetricsPage], media: str) -> str:
    """One page of all; `media` is the type that every page is of.

    Both formats want the samples of a family together, below one `HELP` and one `TYPE` (OpenMetrics 1.0, "Metric
    Family"): so they can't just follow each other. Where two processes, of two releases, give a family two types,
    the first one's stands and the other's samples are left out.
    """
    families: dict[str, _Family] = {}
    for page in pages:
        labels = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in page.labels.items())
        for name, found in _families(page.text, labels).items():
            known = families.setdefault(name, found)
            if known is not found and known.head.get("TYPE") == found.head.get("TYPE"):
                known.samples += found.samples
    lines = [line for each in families.values() for line in (*each.head.values(), *each.samples)]
    if media == OPENMETRICS:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def _families(text: str, labels: str) -> dict[str, _Family]:
    found: dict[str, _Family] = {}
    current = _Family()
    for line in text.splitlines():
        if line.startswith("# "):
            words = line.split(" ", 3)
            if len(words) > 2:  # not the end of the page
                current = found.setdefault(words[2], _Family())
                current.head[words[1]] = line
        elif line:
            current.samples.append(_labelled(line, labels))
    return found


def _labelled(sample: str, labels: str) -> str:
    """`calls{code="ok"} 3` and `up 1` with labels more."""
    # A label's value may hold blanks and braces: what stands before the first of either is the name.
    name, _, _ = sample.partition(" ")
    if "{" not in name:
        return f"{name}{{{labels}}}{sample[len(name) :]}"
    name, _, rest = sample.partition("{")
    return f"{name}{{{labels}{'' if rest.startswith('}') else ','}{rest}"
